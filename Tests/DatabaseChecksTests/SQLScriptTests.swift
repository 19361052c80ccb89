import DatabaseChecks
import Testing

@Suite("The statements of an SQL file") struct SQLScriptTests {
  @Test(
    "are parted where PostgreSQL parts them",
    arguments: [
      ("select 1; select 2", ["select 1", "select 2"]),
      ("select ';' ; select 'it''s; fine'", ["select ';'", "select 'it''s; fine'"]),
      (#"select E'\';' ; select U&'\0041;'"#, [#"select E'\';'"#, #"select U&'\0041;'"#]),
      (#"select 'a\'; select 'b'"#, [#"select 'a\'"#, "select 'b'"]),
      (#"select ";" from t; select 2"#, [#"select ";" from t"#, "select 2"]),
      ("do $$ begin; end $$; select 1", ["do $$ begin; end $$", "select 1"]),
      ("do $a$ $$;$$ ; $a$; select $1;", ["do $a$ $$;$$ ; $a$", "select $1"]),
      ("select a$b from t; select c$d", ["select a$b from t", "select c$d"]),
      ("-- a; b\nselect 1; -- c;\n", ["select 1"]),
      ("/* a; /* b; */ c; */ select 1 /* ; */; ", ["select 1 /* ; */"]),
      (";;\n;", []),
      (
        "create function f() returns int begin atomic select case when true then 1 end; select 2; end; select 3",
        ["create function f() returns int begin atomic select case when true then 1 end; select 2; end", "select 3"]
      ),
      ("select 'ü;ß'; select \u{201C}", ["select 'ü;ß'", "select \u{201C}"]),
    ])
  func parts(text: String, statements: [String]) throws {
    #expect(try SQLScript(text).statements.map(\.text) == statements)
  }

  @Test("know their lines") func lines() throws {
    #expect(try SQLScript("\n-- x\nselect 1;\n\n select\n2;").statements.map(\.line) == [3, 5])
  }

  @Test(
    "are refused where the file is no SQL",
    arguments: [
      ("select 'a", ChecksError.notClosed("a string", line: 1)),
      ("select 1;\nselect $x$ a", .notClosed("a dollar quote", line: 2)),
      ("/* /* */", .notClosed("a comment", line: 1)),
      ("select 1;\n\\echo x", .commandOfPsql(line: 2)),
    ])
  func refuses(text: String, error: ChecksError) { #expect(throws: error) { try SQLScript(text) } }
}
