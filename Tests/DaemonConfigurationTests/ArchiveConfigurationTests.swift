import BackupModel
import Testing

@testable import DaemonConfiguration

@Suite("Stores of copies in a configuration") struct ArchiveConfigurationTests {
  static let stores = """
        local: {path: /a}
        glacier: {s3: {bucket: b, region: r, storage-class: DEEP_ARCHIVE}, durability: on-copy}

    """
  static let backup = "  p: {kind: physical, cluster: oauth}\n"

  private static func text(stores: String = stores, jobs: String) -> String {
    Sample.text(stores: stores, jobs: backup + jobs)
  }

  @Test("take every value")
  func full() throws {
    let job =
      "  c: {kind: copy, cluster: oauth, schedule: \"0 4 1 * *\", timezone: UTC, to: glacier, keep: {monthly: 24}}\n"
    let configuration = try Sample.parse(Self.text(jobs: job))
    #expect(configuration.repository.stores[1].durability == .onCopy)
    guard case .copy(let settings)? = configuration.jobs.last?.kind else {
      Issue.record("no copy job")
      return
    }
    #expect(settings.store.rawValue == "glacier" && settings.runs.schedule != nil)
    #expect(settings.keep == RetentionPolicy(periods: [.monthly: 24]))
    #expect(settings.keep?.text == "monthly 24")
  }

  @Test("suffice alone where a host only restores")
  func alone() throws {
    let archive = "    glacier: {s3: {bucket: b, region: r, storage-class: DEEP_ARCHIVE}, durability: on-copy}\n"
    #expect(try Sample.parse(Sample.text(stores: archive)).repository.stores.map(\.durability) == [.onCopy])
    let eventual = "    a: {path: /a, durability: eventual}\n"
    #expect(Sample.problems(Sample.text(stores: eventual)).contains { $0.contains("is not required") })
    #expect(Sample.problems(Self.text(stores: archive, jobs: "")).contains { $0.contains("is not required") })
  }

  @Test("have classes whose spelling is looked at, but not their names: servers have their own")
  func classes() throws {
    func text(_ name: String) -> String {
      Sample.text(stores: "    a: {s3: {bucket: b, region: r, storage-class: \(name)}}\n")
    }
    #expect(Sample.problems(text("deep-archive")).contains { $0.contains("write DEEP_ARCHIVE") })
    #expect(Sample.problems(text("Glacier_IR")).contains { $0.contains("write GLACIER_IR") })
    #expect(try Sample.parse(text("cold-hdd")).repository.stores[0].storageClass.packs == "cold-hdd")
  }

  @Test(
    "are refused where nothing would fill them, or what must be read at once would be cold",
    arguments: [
      (text(jobs: ""), "is on-copy, and no job copies to it"),
      (text(jobs: "  c: {kind: copy, cluster: oauth}\n"), "the key \"to\" is missing"),
      (
        text(jobs: "  c: {kind: copy, cluster: oauth, to: local}\n"),
        "to: \"local\" is not a store of durability on-copy"
      ),
      (
        text(jobs: "  c: {kind: copy, cluster: oauth, to: glacier, full: true}\n"),
        "does not apply to jobs of kind copy"
      ),
      (
        text(
          jobs: "  c: {kind: copy, cluster: oauth, to: glacier}\n  d: {kind: copy, cluster: oauth, to: glacier}\n"),
        "job \"c\" copies cluster \"oauth\" to store \"glacier\" already"
      ),
      (
        text(stores: "    a: {s3: {bucket: b, region: r, storage-class: GLACIER}}\n", jobs: ""),
        "packs of class GLACIER cannot be read at once"
      ),
      (
        text(
          stores: "    a: {s3: {bucket: b, region: r, storage-class: {packs: STANDARD_IA, other: GLACIER}}}\n", jobs: ""
        ),
        "manifests, page maps and WAL of class GLACIER could not be read at once"
      ),
      (
        text(
          stores: "    a: {path: /a}\n    b: {path: /b, durability: on-copy, keep: 3d}\n",
          jobs: "  c: {kind: copy, cluster: oauth, to: b}\n"), "is on-copy and has a keep"
      ),
      (
        text(
          stores: "    a: {path: /a, keep: 3d}\n    b: {path: /b, durability: on-copy}\n",
          jobs: "  c: {kind: copy, cluster: oauth, to: b}\n"), "no other store keeps what the jobs promise"
      ),
      (
        Sample.text(stores: stores, jobs: "  c: {kind: copy, cluster: oauth, to: glacier}\n"),
        "no job of kind physical takes backups"
      ),
    ])
  func refused(text: String, problem: String) {
    let problems = Sample.problems(text)
    #expect(problems.contains { $0.contains(problem) }, "\(problems)")
  }
}
