import ArgumentParser
import BackupModel
import BlockingWork
import ControlClient
import DaemonConfiguration
import Dispatch
import Repository

#if canImport(Glibc)
  import Glibc
#endif

/// Names that a shell offers while a command is typed.
///
/// Whoever presses TAB waits for them and wants no message in the middle of a command line: what does not answer at once
/// is left out, and what goes wrong gives no names.
enum NameCompletion {
  static let jobs = CompletionKind.custom { words, _, _ in
    quickly {
      let source = Source(words)
      return source.daemon { try $0.jobs().map(\.name.rawValue) }
        ?? source.configuration { $0.jobs.map(\.id.rawValue) } ?? []
    }
  }

  static let alertChannels = CompletionKind.custom { words, _, _ in
    quickly { Source(words).configuration { $0.alerts.map(\.id.rawValue) } ?? [] }
  }

  static let stores = CompletionKind.custom { words, _, _ in
    quickly { Source(words).configuration { $0.repository.stores.map(\.id.rawValue) } ?? [] }
  }

  static let clusters = CompletionKind.custom { words, _, _ in
    quickly {
      let source = Source(words)
      return source.configuration { $0.clusters.map(\.id.rawValue) }
        ?? source.daemon { try $0.status().clusters.map(\.name.rawValue) } ?? []
    }
  }

  /// From the repository; where this user may not read that, those the daemon remembers making.
  static let backups = CompletionKind.custom { words, _, _ in
    quickly {
      let source = Source(words)
      return source.configuration { try backups(in: SharedOptions(configurationFile: nil).openRepository($0)) }
        ?? source.daemon { try $0.runs(limit: 1000).compactMap(\.backup?.text) } ?? []
    }
  }

  static let liveRuns = CompletionKind.custom { words, _, _ in
    quickly { Source(words).daemon { try $0.status().running.map(\.run.text) } ?? [] }
  }

  /// Without the names in angle brackets, which a shell would take for redirections: `jobs.keep`.
  static let configurationKeys = CompletionKind.custom { _, _, _ in
    quickly {
      let paths = (try? ConfigurationReference.keys().map(\.path)) ?? []
      // Some are keys of several kinds of jobs.
      var seen: Set<String> = []
      return paths.map { $0.split(separator: ".").filter { !$0.hasPrefix("<") }.joined(separator: ".") }
        .filter { seen.insert($0).inserted }
    }
  }

  private static func backups(in repository: Repository) throws -> [String] {
    var ids: Set<String> = []
    for lineage in try repository.clusters().flatMap({ try repository.lineages(of: $0) }) {
      for store in repository.stores {
        // Names only: to read each manifest would take too long.
        ids.formUnion(try store.objects.list(below: lineage.backupsPrefix).objects.map(\.name.lastComponent))
      }
    }
    return ids.filter { (try? BackupID($0)) != nil }.sorted()
  }

  /// Ends the program without a word where `body` takes longer than anybody waits for a completion.
  private static func quickly(_ body: () -> [String]) -> [String] {
    DispatchQueue.global().asyncAfter(deadline: .now() + .seconds(2)) { _exit(0) }
    return body()
  }

  /// Whom to ask, by the words typed so far.
  private struct Source {
    private let options: SharedOptions

    init(_ words: [String]) {
      options = SharedOptions(configurationFile: Self.configurationFile(words))
    }

    /// The value of `--config` where it is typed already.
    private static func configurationFile(_ words: [String]) -> String? {
      for (index, word) in words.enumerated() {
        if word == "--config" { return words.dropFirst(index + 1).first { $0 != "=" } }
        if word.hasPrefix("--config=") { return String(word.dropFirst("--config=".count)) }
      }
      return nil
    }

    /// Nil where the daemon does not answer within a second.
    func daemon<Result>(_ ask: (ControlClient) throws -> Result) -> Result? {
      let cancellation = Cancellation()
      DispatchQueue.global().asyncAfter(deadline: .now() + .seconds(1)) { cancellation.cancel() }
      return try? ask(options.client(cancellation))
    }

    /// Nil where the configuration, or what it leads to, cannot be read.
    func configuration<Result>(_ read: (Configuration) throws -> Result) -> Result? {
      try? read(options.loadConfiguration())
    }
  }
}
