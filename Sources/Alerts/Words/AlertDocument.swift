internal import BackupModel
internal import Foundation

/// A message as programs read it: the body of a webhook and a command's standard input. Described in
/// docs/operations/alerts.md.
struct AlertDocument: Encodable {
  struct Change: Encodable {
    var change: String
    var id: String
    var severity: Condition.Severity
    var since: Timestamp
    var cluster: ClusterID?
    var tier: TierID?
    var job: JobID?
    var store: StoreID?
    var summary: String
    var detail: String?
    var hint: String?
    /// The message that first told of it.
    var thread: AlertMessageID
  }
  var version = 1
  /// The same for the same message, however often it is sent.
  var id: AlertMessageID
  var channel: AlertChannelID
  var host: String
  var created: Timestamp
  var title: String
  var isTest: Bool
  /// Messages before it that could not be delivered and were given up.
  var lost: Int
  var changes: [Change]

  init(_ message: AlertMessage, _ context: AlertContext) {
    id = message.id
    channel = context.channel
    host = context.host
    created = message.created
    title = AlertText(message: message, context: context).title
    isTest = message.isTest
    lost = message.lost
    changes = message.items.map { item in
      let condition = item.condition
      return Change(
        change: item.change.rawValue, id: condition.id, severity: condition.severity, since: condition.since,
        cluster: condition.cluster, tier: condition.tier, job: condition.job, store: condition.store,
        summary: condition.report.summary, detail: condition.report.detail, hint: condition.report.hint,
        thread: item.thread ?? message.id)
    }
  }

  /// One line, keys sorted.
  var bytes: [UInt8] {
    get throws {
      let encoder = JSONEncoder()
      encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
      return Array(try encoder.encode(self))
    }
  }
}
