#!/usr/bin/env bash
# Dumps every five minutes: what a day of them takes, how fast a dump gets into the repository, how much memory that needs.
#
#   logical.sh [--mebibytes N] [--dumps N] [--rounds N] [--postgres MAJOR]
#
# N MiB of rows of about 300 bytes, fillfactor 90, of which 0.5 % change at random between dumps. Stored bytes are compared
# with as many dumps by "pg_dump -Fc -Z0 | zstd -1"; a whole dump with "pg_dump -Fc -Z0 | zstd -1 -T2 > file", by turns. The
# result goes between the markers of docs/performance.md.
#
#   BACKUPD_BIN    directory of the programs (default .build/release)
#   BENCH_DIR      where everything is written (default TMPDIR or /tmp)
set -euo pipefail
. "$(dirname "$0")/../scripts/environment.sh"
mebibytes=1024 dumps=288 rounds=3 major=15
. "$repo_root/Benchmarks/options.sh"
read_options "mebibytes dumps rounds postgres=major" "$@"
[ "$rounds" -ge 3 ] || fail "a median needs at least three rounds"
. "$repo_root/Benchmarks/workspace.sh"
pg_create shared_buffers=256MB max_wal_size=8GB checkpoint_timeout=1h
pg_start
rows=$((mebibytes * 1048576 / 300))
say "Writing $rows rows"
pg_sql >/dev/null <<SQL
create table oauth_tokens (id bigint primary key, user_id int, token text, refresh text, scope text, issued timestamptz,
  expires timestamptz, agent text) with (fillfactor = 90);
insert into oauth_tokens select i, i % 100000, md5(i::text) || md5((i + 1)::text), md5((i * 7)::text) || md5((i * 11)::text),
  'openid profile email offline_access', now(), now() + interval '1 hour',
  'Mozilla/5.0 (X11; Linux x86_64) session ' || i % 977 from generate_series(1, $rows) i;
SQL
pg_sql -c "vacuum analyze oauth_tokens" >/dev/null
fresh "$work/ours"
cat >"$work/ours.yaml" <<YAML
daemon: {state-directory: $work/ours/state, socket: $work/ours/control.sock, workers: 2}
clusters:
  bench: {connection: host=$pg_socket user=postgres dbname=postgres, programs: $pg_bin}
repository:
  encryption: {key-file: $work/ours/repository.key}
  stores:
    local: {path: $work/ours/repository}
jobs:
  critical: {kind: logical, cluster: bench, tables: [oauth_tokens], data-only: true}
  whole:    {kind: logical, cluster: bench, tables: [oauth_tokens], data-only: true, full: true}
YAML
ctl() { "${as_postgres[@]}" "$work/bin/backupctl" "$@" --config "$work/ours.yaml"; }
ctl repository create >/dev/null
"${as_postgres[@]}" "$work/bin/backupd" --config "$work/ours.yaml" >"$work/backupd.log" 2>&1 &
helper=$!
wait_for "the daemon" ctl jobs
dump() { "$pg_bin/pg_dump" -Fc -Z0 -t oauth_tokens --data-only -h "$pg_socket" -U postgres postgres; }
seconds() { date +%s.%N; }
took() { awk -v b="$2" -v e="$(seconds)" 'BEGIN { printf "%.3f\n", e - b }' >>"$work/results/$1"; }
whole_ours() {
  local begin
  begin=$(seconds)
  ctl run whole >/dev/null 2>"$work/output.log"
  took ours "$begin"
}
whole_zstd() {
  local begin
  begin=$(seconds)
  dump | zstd -q -1 -T2 -f -o "$work/whole.zst"
  took zstd "$begin"
}
whole_zstd && rm "$work/results/zstd"
for round in $(seq "$rounds"); do
  if [ $((round % 2)) = 1 ]; then whole_ours && whole_zstd; else whole_zstd && whole_ours; fi
done
say "A whole dump is measured; $dumps with changes between"
ctl run critical >/dev/null 2>"$work/output.log"
for number in $(seq "$dumps"); do
  pg_sql -c "update oauth_tokens set refresh = md5(random()::text) || md5(random()::text), issued = now(), expires = now() + interval '1 hour'
    where id in (select 1 + (random() * $rows)::bigint from generate_series(1, $rows / 200))" >/dev/null
  ctl run critical >/dev/null 2>"$work/output.log"
  # A sample in thirty-two stands for what a separate dump takes: they hardly differ.
  if [ $((number % 32)) = 1 ]; then dump | zstd -q -1 | wc -c >>"$work/results/separate"; fi
done
pid=$(ctl status --json | "$BACKUPD_TEST_PYTHON" -c 'import json, sys; print(json.load(sys.stdin)["pid"])' || true)
memory=$(awk '$1 == "VmHWM:" { print $2 }' "/proc/$pid/status")
ctl backups --kind logical --json >"$work/backups.json"
"$BACKUPD_TEST_PYTHON" - "$work" "$dumps" "$mebibytes" "$memory" >"$work/tables.md" <<'PYTHON'
import json, os, statistics, sys

work, dumps, mebibytes, memory = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]) / 1024

def numbers(name):
    with open(os.path.join(work, "results", name)) as file:
        return [float(line) for line in file]

backups = [b for b in json.load(open(os.path.join(work, "backups.json"))) if b["job"] == "critical"]
first, later = backups[0], backups[1:]
stored = first["storedBytes"] + sum(b["storedBytes"] for b in later)
separate = statistics.mean(numbers("separate"))
ratio = stored / (separate * (dumps + 1))
speed = statistics.median(numbers("zstd")) / statistics.median(numbers("ours"))
size = first["totalBytes"]
print(f"{size / 1048576:.0f} MiB of rows, {dumps} dumps after the first, 0.5 % of the rows changed before each:\n")
print("|  | backupd | pg_dump -Fc -Z0, zstd -1 |\n| --- | ---: | ---: |")
print(f"| stored by the first dump, MiB | {first['storedBytes'] / 1048576:.1f} | {separate / 1048576:.1f} |")
mean = statistics.mean(b["storedBytes"] for b in later)
print(f"| stored by each later one, MiB | {mean / 1048576:.2f} | {separate / 1048576:.1f} |")
for name, side in (("a whole dump", ("ours", "zstd")),):
    rates = [size / 1e6 / statistics.median(numbers(s)) for s in side]
    print(f"| {name}, MB/s | {rates[0]:.0f} | {rates[1]:.0f} |")
print("\n| goal | measured | limit |  |\n| --- | ---: | ---: | --- |")
rows = [("stored bytes, all dumps", ratio, "at most 0.2", ratio <= 0.2),
        ("rate of a whole dump", speed, "at least 0.9", speed >= 0.9),
        ("memory of the daemon, MiB", memory, "at most 200", memory <= 200)]
for name, value, limit, met in rows:
    print(f"| {name} | {value:.2f} | {limit} | {'met' if met else 'missed'} |")
print()
PYTHON
machine >>"$work/tables.md"
put logical <"$work/tables.md"
