import BackupModel
import Testing

@testable import DaemonConfiguration

@Suite("Tiers in a configuration") struct TierConfigurationTests {
  @Test("have a cluster, tables and two objectives") func reads() throws {
    let text =
      Sample.text()
        + """
        tiers:
          tokens: {cluster: oauth, tables: [oauth_tokens, audit.log], rpo: 5m, rto: 15m}
          configuration: {cluster: oauth, rpo: 10s, rto: 30m}

        """
    let tiers = try Sample.parse(text).tiers
    let oauth = ClusterID(unchecked: "oauth")
    #expect(
      tiers == [
        TierSettings(
          id: TierID(unchecked: "tokens"), cluster: oauth, tables: ["oauth_tokens", "audit.log"], rpo: .seconds(300),
          rto: .seconds(900)),
        TierSettings(
          id: TierID(unchecked: "configuration"), cluster: oauth, tables: [], rpo: .seconds(10), rto: .seconds(1800)),
      ])
    #expect(try Sample.parse(Sample.text() + "tiers: {}\n").tiers == [])
  }

  @Test(
    "are refused with the place and what to write instead",
    arguments: [
      (
        "t: {cluster: ouath, rpo: 5m, rto: 1h}",
        "tiers.t.cluster: there is no cluster \"ouath\"; did you mean \"oauth\"?"
      ),
      ("t: {cluster: oauth, rto: 1h}", "tiers.t: the key \"rpo\" is missing"),
      (
        "t: {cluster: oauth, rpo: 5, rto: 1h}",
        "tiers.t.rpo: \"5\" is not a valid duration; write a unit, such as 5s, 5m or 5d"
      ),
      ("t: {cluster: oauth, rpo: 0s, rto: 1h}", "tiers.t.rpo: 0s is not between 1s and 3650d"),
      (
        "t: {cluster: oauth, tables: users, rpo: 5m, rto: 1h}",
        "tiers.t.tables: must be a list of tables, such as [oauth_tokens, audit.log], not a single value"
      ),
      (
        "t: {cluster: oauth, tables: [a.b.c], rpo: 5m, rto: 1h}",
        "tiers.t.tables[1]: \"a.b.c\" is not a table; write TABLE or SCHEMA.TABLE"
      ),
      ("t: {cluster: oauth, tables: [a, a], rpo: 5m, rto: 1h}", "tiers.t.tables[2]: \"a\" is named twice"),
      ("T: {cluster: oauth, rpo: 5m, rto: 1h}", "tiers.T: is not a valid tier name"),
      (
        "t: {cluster: oauth, rpo: 5m, rto: 1h}, t: {cluster: oauth, rpo: 1m, rto: 1h}",
        "the key \"t\" is there more than once in the same mapping"
      ),
    ])
  func refuses(entry: String, expected: String) {
    let problems = Sample.problems(Sample.text() + "tiers: {\(entry)}\n")
    #expect(problems.count == 1 && problems[0].contains(expected), "\(problems)")
  }

  @Test("are told of by a reload where they change") func difference() throws {
    func parse(_ rpo: String) throws -> Configuration {
      try Sample.parse(Sample.text() + "tiers: {t: {cluster: oauth, rpo: \(rpo), rto: 1h}}\n")
    }
    #expect(try parse("5m").difference(from: parse("10m")) == ["tier \"t\": rpo changed from \"10m\" to \"5m\""])
    #expect(try parse("5m").difference(from: Sample.parse(Sample.text())) == ["tier \"t\" added"])
  }
}
