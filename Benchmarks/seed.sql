-- Fills the OAuth schema with the same rows each time, half random and half text: psql -v rows=700000 -f seed.sql
-- Random to zstd is what a hash of the row's number gives.
-- Every reference is right by construction: no checks row by row.
set session_replication_role = replica;
alter table users set (fillfactor = 90);
alter table oauth_tokens set (fillfactor = 90);
alter table auth_audit_log set (fillfactor = 90);
insert into users (email, display_name, password_hash, created_at, updated_at)
  select format('user%s@example.com', n), format('User %s', n), encode(sha256(('p' || n)::bytea), 'base64'),
    '2026-01-01 00:00Z'::timestamptz + n * interval '1 s', '2026-01-01 00:00Z'::timestamptz + n * interval '2 s'
  from generate_series(1, :rows / 5) n;
insert into user_providers (user_id, provider, subject, profile)
  select n, (array['google', 'github', 'microsoft'])[1 + n % 3], encode(sha256(('s' || n)::bytea), 'hex'),
    jsonb_build_object('name', format('User %s', n), 'locale', 'en', 'picture', 'https://images.example.com/' || md5('i' || n))
  from generate_series(1, :rows / 5) n;
insert into user_sessions (id, user_id, address, user_agent, created_at, expires_at)
  select md5('u' || n)::uuid, n, format('198.51.100.%s', n % 256)::inet,
    'Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0',
    '2026-02-01 00:00Z'::timestamptz + n * interval '1 s', '2026-02-02 00:00Z'::timestamptz + n * interval '1 s'
  from generate_series(1, :rows / 5) n;
insert into oauth_tokens (user_id, access_token_hash, refresh_token_hash, scope, expires_at, refreshed_at)
  select 1 + n % (:rows / 5), sha256(('a' || n)::bytea) || sha256(('b' || n)::bytea) || sha256(('c' || n)::bytea)
      || sha256(('d' || n)::bytea), sha256(('r' || n)::bytea) || sha256(('q' || n)::bytea) || sha256(('v' || n)::bytea),
    'openid email profile offline_access https://api.example.com/auth/read https://api.example.com/auth/write',
    '2026-03-01 00:00Z'::timestamptz + n * interval '1 s', '2026-03-01 00:00Z'::timestamptz + n * interval '1 s'
  from generate_series(1, :rows) n;
insert into auth_audit_log (user_id, event, detail, occurred_at)
  select 1 + n % (:rows / 5), (array['login', 'logout', 'refresh', 'revoke'])[1 + n % 4],
    jsonb_build_object('agent', 'Mozilla/5.0 (X11; Linux x86_64; rv:130.0)',
      'request', encode(sha256(('e' || n)::bytea), 'base64'), 'session', encode(sha256(('t' || n)::bytea), 'base64'),
      'address', '198.51.100.' || n % 256),
    '2026-03-01 00:00Z'::timestamptz + n * interval '1 s'
  from generate_series(1, :rows) n;
vacuum freeze analyze;
checkpoint;
