-- Changes single rows at random until about so many of all pages of the server differ: psql -v share=0.03 -v seed=1 -f touch.sql
select setseed(1.0 / (1 + :seed)) as seeded \gset
-- Only these three tables are touched, so a larger share of theirs; some pages are hit twice, so more rows than pages.
select -ln(1 - :share * (select sum(pg_database_size(oid)) from pg_database) / sum(pg_relation_size(name))) / 8192 as rows_a_byte
  from unnest('{pgbench_accounts,oauth_tokens,auth_audit_log}'::regclass[]) name \gset
update pgbench_accounts set abalance = abalance + 1 where aid in (
  select 1 + (random() * (select max(aid) - 1 from pgbench_accounts))::int
  from generate_series(1, (pg_relation_size('pgbench_accounts') * :rows_a_byte)::int));
update oauth_tokens set refreshed_at = refreshed_at + interval '1 h' where id in (
  select 1 + (random() * (select max(id) - 1 from oauth_tokens))::int
  from generate_series(1, (pg_relation_size('oauth_tokens') * :rows_a_byte)::int));
update auth_audit_log set event = 'changed' where id in (
  select 1 + (random() * (select max(id) - 1 from auth_audit_log))::int
  from generate_series(1, (pg_relation_size('auth_audit_log') * :rows_a_byte)::int));
checkpoint;
