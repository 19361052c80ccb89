#!/usr/bin/env bash
# A drill against what it rehearses: a restore whose server is started and replays the same WAL.
#
#   drill.sh [--size UNITS] [--rounds N] [--postgres MAJOR]
#
# A unit is about 15 MB, as in bench.sh. A backup is taken, then pgbench writes WAL; each round restores to the end of it by
# hand, then by three drills: with one query, with the checks of etc/checks.sql, and with these and pg_amcheck. The order turns
# with each round. Prints a table of medians and puts
# it between the markers of docs/performance.md.
#
#   BACKUPD_BIN    directory of the programs (default .build/release)
#   BENCH_DIR      where everything is written (default TMPDIR or /tmp): a disk with room for four times the cluster
set -euo pipefail
. "$(dirname "$0")/../scripts/environment.sh"
size=140 rounds=3 major=15
. "$repo_root/Benchmarks/options.sh"
read_options "size rounds postgres=major" "$@"
[ "$rounds" -ge 3 ] || fail "a median needs at least three rounds"
. "$repo_root/Benchmarks/workspace.sh"

say "Filling PostgreSQL $major: $size units"
pg_create shared_buffers=256MB max_wal_size=8GB checkpoint_timeout=1h autovacuum=off
pg_start
"$pg_bin/pgbench" -i -q -I dtGp -s $((size / 12 + 1)) -F 90 -h "$pg_socket" -U postgres postgres >"$work/output.log" 2>&1 ||
  fail "pgbench did not succeed" "$(tail -1 "$work/output.log")"
pg_sql -f "$repo_root/scripts/oauth/schema.sql"
pg_sql -v rows=$((size * 13000)) -f "$repo_root/Benchmarks/seed.sql"
cluster_bytes=$(directory_bytes "$pg_data/base")

fresh "$work/ours"
fresh "$work/scratch"
cat >"$work/ours.yaml" <<YAML
daemon: {state-directory: $work/ours/state, socket: $work/ours/control.sock, workers: 2}
clusters:
  bench: {connection: host=$pg_socket user=postgres dbname=postgres, data-directory: $pg_data}
repository:
  encryption: {key-file: $work/ours/repository.key}
  stores:
    local: {path: $work/ours/repository}
jobs:
  wal:   {kind: wal, cluster: bench}
  take:  {kind: physical, cluster: bench}
  bare:  {kind: drill, cluster: bench, programs: $pg_bin, checks: $work/one.sql, amcheck: false, scratch: $work/scratch}
  drill: {kind: drill, cluster: bench, programs: $pg_bin, checks: $work/checks.sql, amcheck: false, scratch: $work/scratch}
  sound: {kind: drill, cluster: bench, programs: $pg_bin, checks: $work/checks.sql, scratch: $work/scratch}
YAML
cp "$repo_root/etc/checks.sql" "$work/checks.sql"
echo "select 'users' as name, count(*) as value, 1 as min from users;" >"$work/one.sql"
chmod 644 "$work/checks.sql" "$work/one.sql"
ours() { "${as_postgres[@]}" "$work/bin/backupctl" "$@" --config "$work/ours.yaml"; }
ours_answers() { ours jobs >/dev/null 2>&1; }
all_stored() {
  local stored
  stored=$(ours wal status --json | sed -n 's/^ *"durableLSN"[ :]*"\(.*\)".*/\1/p' | head -1)
  [ -n "$stored" ] && [ "$(pg_sql -c "select '$stored'::pg_lsn >= '$end'::pg_lsn")" = t ]
}
ours repository create >/dev/null
"${as_postgres[@]}" "$work/bin/backupd" --config "$work/ours.yaml" >"$work/backupd.log" 2>&1 &
helper=$!
wait_for "backupd" ours_answers
say "Taking the backup, then writing WAL"
ours run take >"$work/output.log" 2>&1 || fail "the backup did not succeed" "$(tail -3 "$work/output.log")"
"$pg_bin/pgbench" -n -c 4 -j 2 -t $((size * 100)) -h "$pg_socket" -U postgres postgres >"$work/output.log" 2>&1
wal_bytes=$(pg_sql -c "select pg_size_pretty(pg_current_wal_flush_lsn() - '$(ours backups --json |
  sed -n 's/^ *"stopLSN"[ :]*"\(.*\)".*/\1/p' | tail -1)')")
end=$(pg_sql -c 'select pg_current_wal_flush_lsn()')
wait_for "all WAL in the store" all_stored

# --- what is measured
seconds() { date +%s.%N; }
# took STEP BEGIN END
took() { awk -v b="$2" -v e="$3" 'BEGIN { printf "%.2f\n", e - b }' >>"$work/results/$1.seconds"; }
restore() {
  local begin
  begin=$(seconds)
  ours restore "$work/restored" --cluster bench --start --port 5499 >"$work/output.log" 2>&1 ||
    fail "the restore did not succeed" "$(tail -5 "$work/output.log")"
  took restore "$begin" "$(seconds)"
  "${as_postgres[@]}" "$pg_bin/pg_ctl" stop -D "$work/restored" -m immediate >/dev/null
  rm -rf "$work/restored" "$work/restored.start.log"
}
rehearse() { # JOB
  local begin
  begin=$(seconds)
  ours drill "$1" >"$work/output.log" 2>&1 || fail "drill $1 did not succeed" "$(tail -20 "$work/output.log")"
  took "$1" "$begin" "$(seconds)"
  ours runs "$1" --limit 1 --json | sed -n 's/^ *"measuredRTOSeconds"[ :]*\([0-9.]*\).*/\1/p' | tail -1 >>"$work/results/rto.seconds"
}
for round in $(seq "$rounds"); do
  order=("restore" "rehearse bare" "rehearse drill" "rehearse sound")
  [ $((round % 2)) = 1 ] || order=("rehearse sound" "rehearse drill" "rehearse bare" "restore")
  for step in "${order[@]}"; do
    warm "$work/ours/repository"
    sync
    sleep 1
    # shellcheck disable=SC2086 # a step and its job are two words
    $step
  done
  say "Round $round of $rounds is done"
done

"$BACKUPD_TEST_PYTHON" - "$work/results" "$cluster_bytes" "$wal_bytes" >"$work/tables.md" <<'PYTHON'
import os, statistics, sys

results, cluster, wal = sys.argv[1:4]
median = {name[:-8]: statistics.median(float(line) for line in open(os.path.join(results, name)))
          for name in os.listdir(results) if name.endswith(".seconds")}
titles = {"restore": "restore --start", "bare": "drill: page checksums, one query", "drill": "drill: etc/checks.sql as well",
          "sound": "drill: pg_amcheck as well", "rto": "the RTO the drills measured"}
print(f"{int(cluster) / 2**20:.0f} MiB and {wal} of WAL, seconds:\n")
print("|  | median | to the restore |")
print("| --- | ---: | ---: |")
for name, title in titles.items():
    print(f"| {title} | {median[name]:.1f} | {median[name] / median['restore']:.2f} |")
print("\n| goal, to restore and replay | measured | limit |  |")
print("| --- | ---: | ---: | ---: |")
for name in ("bare", "drill", "sound"):
    ratio = median[name] / median["restore"]
    print(f"| {titles[name]} | {ratio:.2f} | at most 1.3 | {'met' if ratio <= 1.3 else 'missed'} |")
print()
PYTHON
end_helper
machine >>"$work/tables.md"
put drill <"$work/tables.md"
