// swift-tools-version: 6.2
import PackageDescription

/// One compiler setting for every target of ours: Swift 6, warnings are errors, imports do not leak.
let settings: [SwiftSetting] = [
  .swiftLanguageMode(.v6),
  .enableUpcomingFeature("InternalImportsByDefault"),
  .enableUpcomingFeature("ExistentialAny"),
  .treatAllWarnings(as: .error),
]

let argumentParser = Target.Dependency.product(name: "ArgumentParser", package: "swift-argument-parser")
let logging = Target.Dependency.product(name: "Logging", package: "swift-log")

/// A module of ours and the arrows that leave it. Arrows point down; `STYLE.md`'s module map is the rule.
func module(_ name: String, _ dependencies: [Target.Dependency] = []) -> Target {
  .target(name: name, dependencies: dependencies, swiftSettings: settings)
}

func tests(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
  .testTarget(name: name, dependencies: dependencies, swiftSettings: settings)
}

let package = Package(
  name: "backupd",
  products: [
    .executable(name: "backupd", targets: ["backupd"]),
    .executable(name: "backupctl", targets: ["backupctl"]),
    .executable(name: "backupd-wal", targets: ["backupd-wal"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
    .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
    .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
  ],
  targets: [
    // C libraries: each is a dependency of exactly one module.
    .systemLibrary(name: "CChecksums"),
    .systemLibrary(name: "CLibPQ", pkgConfig: "libpq", providers: [.apt(["libpq-dev"])]),
    .systemLibrary(name: "CCurl", pkgConfig: "libcurl", providers: [.apt(["libcurl4-openssl-dev"])]),
    .systemLibrary(name: "COpenSSL", pkgConfig: "libcrypto", providers: [.apt(["libssl-dev"])]),
    .systemLibrary(name: "CSystemd", pkgConfig: "libsystemd", providers: [.apt(["libsystemd-dev"])]),
    .systemLibrary(name: "CZstd", pkgConfig: "libzstd", providers: [.apt(["libzstd-dev"])]),
    .systemLibrary(name: "CLinux"),

    // Vocabulary and tools.
    module("BackupModel"),
    module("BlockingWork", ["BackupModel", "CLinux"]),
    module("DurableFiles", ["BackupModel"]),
    module("Systemd", ["BackupModel", "CSystemd", logging]),
    module("Checksums", ["CChecksums"]),
    module("Compression", ["BackupModel", "CZstd"]),
    module("Cryptography", ["BackupModel", "COpenSSL"]),
    module("TarArchive", ["BackupModel"]),
    module("Scheduling", ["BackupModel"]),
    module("Objectives", ["BackupModel"]),
    module("MetricsExport", ["BackupModel", "BlockingWork"]),

    module("ServerPrograms", ["BackupModel", "BlockingWork", "CLinux", "DurableFiles"]),

    // Resources.
    module("Postgres", ["BackupModel", "BlockingWork", "CLibPQ"]),
    module("Transfer", ["BackupModel", "BlockingWork", "CCurl", "Cryptography"]),
    module("Storage", ["BackupModel", "BlockingWork", "Cryptography", "DurableFiles", "Transfer"]),
    module(
      "KeyManagement", ["BackupModel", "BlockingWork", "CLinux", "Cryptography", "DurableFiles", "Transfer"]),
    module("JobState", ["BackupModel", "DurableFiles", logging]),
    module(
      "Repository",
      [
        "BackupModel", "BlockingWork", "Storage", "KeyManagement", "Cryptography", "Compression", "DurableFiles",
      ]),

    // Workflows. The two data paths never import each other.
    module(
      "BackupPipeline",
      [
        "BackupModel", "BlockingWork", "Checksums", "Cryptography", "DurableFiles", "Postgres", "Repository",
        "TarArchive",
      ]),
    module(
      "WALArchiving",
      ["BackupModel", "BlockingWork", "CLinux", "DurableFiles", "Postgres", "Repository", "Storage"]),
    module(
      "HealthCheck",
      [
        "BackupModel", "BlockingWork", "DatabaseChecks", "DurableFiles", "LogicalBackup", "Postgres", "Repository",
      ]),
    module("DatabaseChecks", ["BackupModel", "BlockingWork", "DurableFiles", "Postgres"]),
    module(
      "LogicalBackup", ["BackupModel", "BlockingWork", "DurableFiles", "Postgres", "Repository", "ServerPrograms"]),
    module(
      "Recovery",
      [
        "BackupModel", "BlockingWork", "CLinux", "Checksums", "DatabaseChecks", "DurableFiles", "Postgres",
        "Repository", "ServerPrograms", "Storage",
      ]),
    module(
      "Jobs",
      [
        "BackupModel", "BackupPipeline", "BlockingWork", "DurableFiles", "HealthCheck", "JobState", "LogicalBackup",
        "Objectives", "Postgres", "Recovery", "Repository", "Scheduling", "WALArchiving", logging,
      ]),

    module(
      "Alerts",
      [
        "BackupModel", "BlockingWork", "Cryptography", "DurableFiles", "JobState", "Scheduling", "ServerPrograms",
        "Transfer", logging,
      ]),

    module(
      "Monitoring",
      ["BackupModel", "BlockingWork", "JobState", "Postgres", "Repository", "Scheduling", logging]),

    // Control.
    module("Varlink", ["BackupModel", "BlockingWork"]),
    module("ControlProtocol", ["BackupModel", "Varlink"]),
    module("ControlServer", ["BackupModel", "BlockingWork", "ControlProtocol", "Varlink", logging]),
    module("ControlClient", ["BackupModel", "BlockingWork", "ControlProtocol", "Varlink"]),
    module(
      "DaemonConfiguration",
      ["BackupModel", "DurableFiles", "Scheduling", .product(name: "Yams", package: "Yams")]),

    module(
      "RepositoryAccess",
      ["BackupModel", "DaemonConfiguration", "KeyManagement", "Repository", "Storage", "Systemd", "Transfer"]),

    // Programs.
    .executableTarget(
      name: "backupd",
      dependencies: [
        "Alerts", "BackupModel", "BlockingWork", "CLinux", "ControlProtocol", "ControlServer", "DaemonConfiguration",
        "DurableFiles", "HealthCheck", "JobState", "Jobs", "KeyManagement", "LogicalBackup", "MetricsExport",
        "Monitoring", "Objectives", "Recovery", "Repository", "RepositoryAccess", "Scheduling", "Systemd", "Transfer",
        argumentParser, logging,
      ],
      swiftSettings: settings),
    .executableTarget(
      name: "backupctl",
      dependencies: [
        "BackupModel", "BlockingWork", "ControlClient", "ControlProtocol", "DaemonConfiguration", "DurableFiles",
        "KeyManagement", "LogicalBackup", "Postgres", "Recovery", "Repository", "RepositoryAccess", "Scheduling",
        "Storage", "Systemd", argumentParser,
      ],
      swiftSettings: settings),
    // PostgreSQL starts it for each segment: no library is to be looked for then.
    .executableTarget(
      name: "backupd-wal", dependencies: ["BackupModel"], swiftSettings: settings,
      linkerSettings: [.unsafeFlags(["-static-executable"], .when(configuration: .release))]),

    // Tests.
    .target(
      name: "TestSupport", dependencies: ["BackupModel", "BlockingWork", "Storage"], path: "Tests/TestSupport",
      swiftSettings: settings),
    tests(
      "ToolsTests",
      [
        "BackupModel", "BlockingWork", "Checksums", "Compression", "Cryptography", "DurableFiles", "KeyManagement",
        "ServerPrograms", "TestSupport",
      ]),
    tests("TransferTests", ["BackupModel", "BlockingWork", "Cryptography", "TestSupport", "Transfer"]),
    tests("StorageContractTests", ["BackupModel", "BlockingWork", "Storage", "TestSupport", "Transfer"]),
    tests(
      "RepositoryTests",
      [
        "BackupModel", "BlockingWork", "Compression", "Cryptography", "KeyManagement", "Repository", "Storage",
        "TestSupport", "Transfer",
      ]),
    tests(
      "BackupPipelineTests",
      [
        "BackupModel", "BackupPipeline", "BlockingWork", "Checksums", "Cryptography", "DurableFiles", "KeyManagement",
        "Postgres", "Repository",
        "Storage", "TestSupport",
      ]),
    tests(
      "JobsTests",
      [
        "BackupModel", "BlockingWork", "JobState", "Jobs", "KeyManagement", "Repository", "Scheduling", "Storage",
        "TestSupport", "Transfer", logging,
      ]),
    tests(
      "DatabaseChecksTests",
      ["BackupModel", "BlockingWork", "DatabaseChecks", "DurableFiles", "Postgres", "TestSupport"]),
    tests(
      "AlertsTests",
      [
        "Alerts", "BackupModel", "BlockingWork", "DurableFiles", "JobState", "Scheduling", "TestSupport", "Transfer",
        logging,
      ]),
    tests("MetricsExportTests", ["BackupModel", "BlockingWork", "MetricsExport", "TestSupport"]),
    tests("ObjectivesTests", ["BackupModel", "Objectives"]),
    tests("SchedulingTests", ["BackupModel", "Scheduling", "TestSupport"]),
    tests("JobStateTests", ["BackupModel", "DurableFiles", "JobState", "TestSupport"]),
    tests("MonitoringTests", ["BackupModel", "JobState", "Monitoring", "Scheduling", "TestSupport"]),
    tests("SystemdTests", ["BackupModel", "Systemd", "TestSupport", logging]),
    tests("DaemonConfigurationTests", ["BackupModel", "DaemonConfiguration", "DurableFiles", "TestSupport"]),
    tests("BackupctlTests", ["BackupModel", "Scheduling", "backupctl"]),
    tests("VarlinkTests", ["Varlink", "BlockingWork", "TestSupport"]),
    tests("LogicalBackupTests", ["LogicalBackup", "TestSupport"]),
    tests("TarArchiveTests", ["BackupModel", "TarArchive", "TestSupport"]),
    tests("PostgresTests", ["BackupModel", "BlockingWork", "Postgres", "TarArchive", "TestSupport"]),
    tests(
      "WALArchivingTests",
      [
        "BackupModel", "BlockingWork", "DurableFiles", "KeyManagement", "Postgres", "Repository", "Storage",
        "TestSupport",
        "WALArchiving",
      ]),
    tests(
      "EndToEndTests",
      [
        "BackupModel", "BlockingWork", "DaemonConfiguration", "Repository", "RepositoryAccess", "Storage", "Systemd",
        "TestSupport",
      ]),
    tests(
      "RecoveryTests",
      [
        "BackupModel", "BackupPipeline", "BlockingWork", "Cryptography", "Recovery", "Repository", "Storage",
        "TestSupport", "Transfer", "WALArchiving",
      ]),
    tests(
      "ControlServerTests",
      ["BackupModel", "BlockingWork", "ControlClient", "ControlProtocol", "ControlServer", "TestSupport", logging]),
  ]
)

// The parsers under libFuzzer, which brings the main function: no other build can link it. See scripts/fuzz.sh.
if Context.environment["BACKUPD_FUZZ"] != nil {
  package.targets.append(
    .executableTarget(
      name: "fuzz",
      dependencies: [
        "Alerts", "BackupModel", "ControlProtocol", "JobState", "MetricsExport", "Postgres", "Recovery", "Repository",
        "Scheduling", "Storage", "TarArchive", "Transfer", "Varlink", "WALArchiving",
      ], path: "Tests/Fuzz", swiftSettings: settings))
}
