import Testing

@testable import Jobs

@Suite("The tables a dump holds") struct DumpedTablesTests {
  @Test(
    "are those its options name, without what nobody can tell",
    arguments: [
      ([], nil),
      (["--data-only"], nil),
      (["--table=tokens", "--table=auth.sessions", "--data-only"], ["tokens", "auth.sessions", "sessions"]),
      (["--table=auth_*", "--table=users"], ["users"]),
    ] as [([String], Set<String>?)])
  func known(selection: [String], names: Set<String>?) throws {
    #expect(try #require(DumpedTables(selection: selection)).names == names)
  }

  @Test(
    "are not known where definitions alone, schemas or all but some were asked for",
    arguments: [["--schema-only"], ["--schema=auth"], ["--exclude-table=logs"], ["--table=a", "--exclude-table=b"]])
  func unknown(selection: [String]) {
    #expect(DumpedTables(selection: selection) == nil)
  }
}
