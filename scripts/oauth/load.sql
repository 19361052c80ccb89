-- One transaction of the service under load, for pgbench: a login, a token refresh, now and then a new user.
\set user random(1, :users)
\set dice random(1, 10)
begin;
insert into user_sessions (user_id, address, user_agent, expires_at)
  values (:user, '203.0.113.7', 'Mozilla/5.0 (X11; Linux x86_64)', now() + interval '14 days');
update oauth_tokens
  set access_token_hash = sha256(random()::text::bytea), refreshed_at = now(), expires_at = now() + interval '1 hour'
  where user_id = :user;
insert into auth_audit_log (user_id, event) values (:user, 'login');
\if :dice = 1
with fresh as (
  insert into users (email, display_name) values (gen_random_uuid() || '@example.com', 'New user') returning id
)
insert into user_providers (user_id, provider, subject) select id, 'github', gen_random_uuid() from fresh;
\endif
commit;
