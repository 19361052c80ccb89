-- Fills the schema: psql -v users=20000 -f seed.sql
insert into users (email, display_name, password_hash)
  select format('user%s@example.com', n), format('User %s', n), md5(n::text || random())
  from generate_series(1, :users) n;
insert into user_providers (user_id, provider, subject, profile)
  select id, (array['google', 'github', 'apple'])[1 + id % 3], md5('subject' || id),
    jsonb_build_object('name', display_name, 'locale', 'en', 'picture', md5(email))
  from users;
insert into oauth_tokens (user_id, access_token_hash, refresh_token_hash, scope, expires_at)
  select id, sha256(random()::text::bytea), sha256(random()::text::bytea), 'openid email profile',
    now() + interval '1 hour'
  from users;
insert into user_sessions (user_id, address, user_agent, expires_at)
  select id, '198.51.100.0'::inet + (id % 256), 'Mozilla/5.0 (X11; Linux x86_64)', now() + interval '14 days'
  from users;
insert into auth_audit_log (user_id, event, detail)
  select id, 'signup', jsonb_build_object('method', 'provider') from users;
analyze;
