-- Fills the OAuth schema with rows that compress to about half: psql -v rows=150000 -f seed.sql
alter table users set (fillfactor = 90);
alter table oauth_tokens set (fillfactor = 90);
alter table auth_audit_log set (fillfactor = 90);
insert into users (email, display_name, password_hash)
  select format('user%s@example.com', n), format('User %s', n), encode(sha256((n || random()::text)::bytea), 'base64')
  from generate_series(1, :rows / 5) n;
insert into oauth_tokens (user_id, access_token_hash, refresh_token_hash, scope, expires_at)
  select 1 + n % (:rows / 5),
    sha256((n || random()::text)::bytea) || sha256((random()::text || n)::bytea) || sha256(random()::text::bytea),
    sha256((n || 'r' || random()::text)::bytea) || sha256(random()::text::bytea),
    'openid email profile offline_access ' || repeat('https://api.example.com/auth/read ', 5),
    now() + random() * interval '1 hour'
  from generate_series(1, :rows) n;
insert into auth_audit_log (user_id, event, detail)
  select 1 + n % (:rows / 5), (array['login', 'logout', 'refresh', 'revoke'])[1 + n % 4],
    jsonb_build_object('agent', 'Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0',
      'request', encode(sha256((n || random()::text)::bytea), 'hex'), 'session', md5(random()::text || n),
      'address', '198.51.100.' || n % 256)
  from generate_series(1, :rows) n;
vacuum freeze analyze;
