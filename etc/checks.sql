-- Checks of a restored OAuth database (the schema of scripts/oauth/schema.sql), for a drill:
-- copy it to /etc/backupd/checks.sql and name it with "checks".
--
-- A statement that returns the columns "name" and "value" makes a check of each row. Columns beside them are its rule:
--   min, max, equal   what the value has to be; without them it is only shown
--   warn              true: what breaks the rule is a warning and not critical
--   may_fall          true: a value far below the last drill's is nothing to speak of
-- An error is critical, RAISE EXCEPTION too; what RAISE NOTICE says is kept. See docs/operations/drills.md.

select 'users' as name, count(*) as value, 1 as min from users;

select 'active providers' as name, count(distinct provider) as value, 1 as min, true as warn from user_providers;

select 'active sessions' as name, count(*) as value, true as may_fall from user_sessions where expires_at > now();

-- A large table is read once for all that is asked of it. Tokens that nobody removed after they had expired: a day is what
-- the service takes to sweep them.
select name, value, may_fall
from (
  select count(*) filter (where expires_at > now()) as active, count(*) filter (where expires_at <= now()) as expired,
    min(expires_at) filter (where expires_at <= now()) as oldest
  from oauth_tokens
) tokens,
lateral (
  values ('active tokens', active::text, false), ('expired tokens', expired::text, true),
    ('oldest expired token', oldest::text, true)
) checks (name, value, may_fall);

select 'tokens without a user' as name, count(*) as value, 0 as equal, true as may_fall
from oauth_tokens t where not exists (select from users u where u.id = t.user_id);

-- Some installations have no sync_logs; what is not there cannot be orphaned.
do $$
declare
  orphans bigint;
begin
  if to_regclass('sync_logs') is null then
    raise notice 'there is no table sync_logs';
  else
    execute 'select count(*) from sync_logs s where not exists (select from users u where u.id = s.user_id)' into orphans;
    if orphans > 0 then
      raise warning '% rows of sync_logs have no user', orphans;
    else
      raise notice 'all rows of sync_logs have a user';
    end if;
  end if;
end $$;
