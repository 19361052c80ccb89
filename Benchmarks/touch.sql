-- Changes one row on each of about so many pages at random: psql -v share=0.03 -f touch.sql
update pgbench_accounts set abalance = abalance + 1 where aid in (
  select 1 + (random() * (select max(aid) - 1 from pgbench_accounts))::int
  from generate_series(1, (pg_relation_size('pgbench_accounts') / 8192 * :share)::int));
update oauth_tokens set refreshed_at = clock_timestamp() where id in (
  select 1 + (random() * (select max(id) - 1 from oauth_tokens))::int
  from generate_series(1, (pg_relation_size('oauth_tokens') / 8192 * :share)::int));
update auth_audit_log set event = 'changed' where id in (
  select 1 + (random() * (select max(id) - 1 from auth_audit_log))::int
  from generate_series(1, (pg_relation_size('auth_audit_log') / 8192 * :share)::int));
checkpoint;
