import BackupModel
import BlockingWork
import DatabaseChecks
import TestSupport
import Testing

@Suite("A file of checks") struct CheckFileTests {
  @Test("judges values by the columns beside them, keeps notices, takes errors for critical") func judges() throws {
    try PostgresServer.run { server in
      try server.psql("create table users (id int)")
      let results = try run(
        """
        select 'users' as name, count(*) as value, 1 as min from users;
        select 'few' as name, 3 as value, null as min, 2 as max, true as warn;
        select 'same' as name, 1.0 as value, '1' as equal;
        select 'nothing' as name, null::int as value, 1 as min;
        select name, value from (values ('a', 1), ('b', 2)) v(name, value);
        select 1 as x, 'y' as z;
        select 'none' as name, 1 as value where false;
        do $$ begin raise notice 'hello %', 1; end $$;
        do $$ begin raise warning 'careful'; end $$;
        do $$ begin raise exception 'broken' using hint = 'mend it'; end $$;
        insert into users values (1);
        select count(*) from lost;
        select pg_sleep(60);
        select 'after' as name, 1 as value;
        """, server, timeout: .milliseconds(500))
      let found = results.map { "\($0.name)|\($0.value ?? "-")|\($0.verdict.rawValue)" }
      #expect(
        found == [
          "users|0|critical", "few|3|warning", "same|1.0|ok", "nothing|-|critical", "a|1|ok", "b|2|ok",
          "line 6|x=1 z=y|ok",
          "line 7|-|warning", "line 8|-|ok", "line 9|-|warning", "line 10|-|critical", "line 11|-|critical",
          "line 12|-|critical", "line 13|-|critical", "after|1|ok",
        ])
      #expect(results[8].notices == ["hello 1"] && results[9].notices == ["WARNING: careful"])
      #expect(results[10].message == "broken / mend it")
      #expect(results[11].message?.contains("read-only") == true && results[12].message?.contains("lost") == true)
      #expect(results[13].message?.contains("statement timeout") == true)
    }
  }

  @Test("is bounded in rows, results and text") func bounded() throws {
    try PostgresServer.run { server in
      let results = try run(
        "select 'r' || i as name, i as value, 4000 as min, true as warn from generate_series(1, 100000) i;"
          + "select repeat('x', 100000) as long; select 'bad' as name, 0 as value, 1 as min", server)
      #expect(results.count == 200)
      #expect(results.contains { $0.name == "further results" })
      #expect(results.allSatisfy { ($0.value ?? "").count <= 500 })
    }
  }

  @Test("of the OAuth example finds what is there and what is lost") func example() throws {
    let root = #filePath.split(separator: "/").dropLast(3).map { "/" + $0 }.joined()
    let file = try CheckFile(readingFrom: root + "/etc/checks.sql")
    try PostgresServer.run { server in
      try Program.succeed(
        server.installation.program("psql"),
        ["-Xq", "-v", "ON_ERROR_STOP=1", "-d", server.connection, "-f", root + "/scripts/oauth/schema.sql"])
      let empty = try file.run(on: server.connection, timeout: .seconds(10), cancellation: Cancellation())
      #expect(empty.filter { $0.verdict == .critical }.map(\.name) == ["users"])
      #expect(empty.filter { $0.verdict == .warning }.map(\.name) == ["active providers"])
      try server.psql(
        """
        insert into users (email, display_name) values ('a@b', 'a');
        insert into user_providers (user_id, provider, subject) values (1, 'github', 'x');
        insert into oauth_tokens (user_id, access_token_hash, refresh_token_hash, scope, expires_at)
          values (1, '', '', 's', now() + '1 day'), (1, '', '', 's', '2026-01-01 00:00:00+00');
        create table sync_logs (user_id bigint); insert into sync_logs values (7);
        """)
      let full = try file.run(on: server.connection, timeout: .seconds(10), cancellation: Cancellation())
      #expect(full.filter { $0.verdict == .critical } == [])
      #expect(full.first { $0.name == "active tokens" }?.value == "1")
      #expect(full.first { $0.name == "oldest expired token" }?.value?.hasPrefix("2026-01-01") == true)
      #expect(full.last?.verdict == .warning && full.last?.notices == ["WARNING: 1 rows of sync_logs have no user"])
    }
  }

  @Test(
    "warns of values that fell to zero or by half",
    arguments: [("100", "51", false), ("100", "50", true), ("9", "4", false), ("9", "0", true), ("0", "0", false)])
  func falls(last: String, now: String, warns: Bool) {
    let result = CheckResult(name: "users", value: now).compared(with: [CheckResult(name: "users", value: last)])
    #expect((result.verdict == .warning) == warns)
    let free = CheckResult(name: "users", value: now, mayFall: true)
    #expect(free.compared(with: [CheckResult(name: "users", value: last)]).verdict == .ok)
  }

  private func run(_ text: String, _ server: PostgresServer, timeout: Duration = .seconds(10)) throws -> [CheckResult] {
    try CheckFile(text).run(on: server.connection, timeout: timeout, cancellation: Cancellation())
  }
}
