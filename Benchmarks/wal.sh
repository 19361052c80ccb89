#!/usr/bin/env bash
# Pushing and fetching WAL, ours against pgBackRest's asynchronous archiving and the limits, in the same run.
#
#   wal.sh [--segments N] [--rounds N] [--postgres MAJOR]
#
# N segments of WAL that pgbench wrote are handed over by PostgreSQL's own archiver, then fetched one by one as recovery
# asks for them, then replayed. The order of the sides turns with each round. Prints a table of medians and puts it between
# the markers of docs/performance.md.
#
#   BACKUPD_BIN    directory of the programs (default .build/release)
#   BENCH_DIR      where everything is written (default TMPDIR or /tmp): a disk with room for ten times the WAL
set -euo pipefail
. "$(dirname "$0")/../scripts/environment.sh"
segments=200 rounds=3 major=15
. "$repo_root/Benchmarks/options.sh"
read_options "segments rounds postgres=major" "$@"
[ "$rounds" -ge 3 ] || fail "a median needs at least three rounds"
. "$repo_root/Benchmarks/workspace.sh"
status_directory=$pg_data/pg_wal/archive_status

say "Writing $segments segments with PostgreSQL $major"
pg_create shared_buffers=256MB max_wal_size=64GB checkpoint_timeout=1h wal_keep_size=64GB archive_mode=on \
  archive_command=/bin/false autovacuum=off full_page_writes=on
pg_start
"$pg_bin/pgbench" -i -q -s 60 -h "$pg_socket" -U postgres postgres >"$work/output.log" 2>&1
pg_sql -c checkpoint
first=$(pg_sql -c 'select pg_walfile_name(pg_switch_wal())')
pg_stop fast
"${as_postgres[@]}" cp -a "$pg_data" "$work/base"
pg_start
while [ "$(find "$pg_data/pg_wal" -maxdepth 1 -type f -name '0000*' | wc -l)" -lt $((segments + 80)) ]; do
  "$pg_bin/pgbench" -n -N -c 4 -j 2 -T 5 -h "$pg_socket" -U postgres postgres >"$work/output.log" 2>&1
  pg_sql -c checkpoint
done
pg_stop fast
# What was there before goes unasked; then N segments wait, and no more.
rm -f "$status_directory"/*
names=()
while read -r name; do names+=("$name"); done < <(
  find "$pg_data/pg_wal" -maxdepth 1 -type f -printf '%f\n' | grep -E '^[0-9A-F]{24}$' | sort | awk -v f="$first" '$1 > f' |
    head -"$segments")
[ "${#names[@]}" = "$segments" ] || fail "only ${#names[@]} segments were written"
make_ready() {
  rm -f "$status_directory"/*
  for name in "${names[@]}"; do "${as_postgres[@]}" touch "$status_directory/$name.ready"; done
}
seconds() { date +%s.%N; }
# rate STEP.SIDE BEGIN END   segments a second
rate() { awk -v n="$segments" -v b="$2" -v e="$3" 'BEGIN { printf "%.2f\n", n / (e - b) }' >>"$work/results/$1.rates"; }

# --- the sides
ours_create() {
  fresh "$work/ours"
  cat >"$work/ours.yaml" <<YAML
daemon: {state-directory: $work/ours/state, socket: $work/ours/control.sock, workers: 2}
clusters:
  bench: {connection: host=$pg_socket user=postgres dbname=postgres}
repository:
  encryption: {key-file: $work/ours/repository.key}
  stores:
    local: {path: $work/ours/repository}
jobs:
  wal: {kind: wal, cluster: bench, streaming: false}
YAML
  "${as_postgres[@]}" "$work/bin/backupctl" repository create --config "$work/ours.yaml" >/dev/null
}
ours_answers() { "${as_postgres[@]}" "$work/bin/backupctl" jobs --config "$work/ours.yaml" >/dev/null 2>&1; }
ours_begin() {
  ours_create
  "${as_postgres[@]}" "$work/bin/backupd" --config "$work/ours.yaml" >"$work/backupd.log" 2>&1 &
  helper=$!
  wait_for "backupd" ours_answers
}
ours_push="$work/bin/backupd-wal push --cluster bench --socket $work/ours/control.sock %p"
ours_fetch="$work/bin/backupd-wal fetch --config $work/ours.yaml --cluster bench --standby %f %p"
ours_end() { end_helper; }

pgbackrest_create() {
  fresh "$work/pgbackrest"
  "${as_postgres[@]}" mkdir "$work/pgbackrest/log"
  cat >"$work/pgbackrest.conf" <<CONF
[global]
repo1-path=$work/pgbackrest/repository
compress-type=zst
compress-level=1
process-max=2
archive-async=y
archive-push-queue-max=1TB
log-level-file=off
log-level-console=warn
log-path=$work/pgbackrest/log
lock-path=$work/pgbackrest/lock
spool-path=$work/pgbackrest/spool
[bench]
pg1-path=$1
pg1-socket-path=$pg_socket
pg1-user=postgres
CONF
}
pgbackrest_begin() {
  pgbackrest_create "$pg_data"
  "${as_postgres[@]}" pgbackrest --config="$work/pgbackrest.conf" --stanza=bench --no-online stanza-create
}
pgbackrest_push="pgbackrest --config=$work/pgbackrest.conf --stanza=bench archive-push %p"
pgbackrest_fetch="pgbackrest --config=$work/pgbackrest.conf --stanza=bench archive-get %f %p"
pgbackrest_end() { :; }
sides=(ours pgbackrest)

# --- what is measured
push() { # SIDE
  local side=$1 begin command
  make_ready
  "${side}_begin"
  command=${side}_push
  printf "archive_command = '%s'\n" "${!command}" | "${as_postgres[@]}" tee "$pg_data/postgresql.auto.conf" >/dev/null
  warm "$pg_data/pg_wal"
  sync
  sleep 1
  begin=$(seconds)
  pg_start
  while [ -e "$status_directory/${names[-1]}.ready" ]; do sleep 0.02; done
  rate "push.$side" "$begin" "$(seconds)"
  pg_stop fast
}
# One by one, as recovery asks: the command's words as PostgreSQL puts them in.
fetch() { # SIDE
  local side=$1 begin command name
  fresh "$work/recovering"
  "${as_postgres[@]}" mkdir "$work/recovering/pg_wal" "$work/recovering/global"
  "${as_postgres[@]}" cp "$pg_data/PG_VERSION" "$work/recovering/"
  "${as_postgres[@]}" cp "$pg_data/global/pg_control" "$work/recovering/global/"
  "${as_postgres[@]}" touch "$work/recovering/standby.signal"
  command=${side}_fetch
  command=${!command}
  [ "$side" != pgbackrest ] || sed -i "s,^pg1-path=.*,pg1-path=$work/recovering," "$work/pgbackrest.conf"
  warm "$work/$side/repository"
  cat >"$work/loop.sh" <<LOOP
cd $work/recovering
for name in ${names[*]}; do
  command="${command//%f/\$name}"
  sh -c "\${command/\%p/pg_wal/RECOVERYXLOG}" || exit 1
  cmp -s pg_wal/RECOVERYXLOG $pg_data/pg_wal/\$name || exit 2
done
LOOP
  begin=$(seconds)
  "${as_postgres[@]}" bash "$work/loop.sh" >"$work/output.log" 2>&1 || fail "$side did not fetch" "$(tail -3 "$work/output.log")"
  rate "fetch.$side" "$begin" "$(seconds)"
}
replay() { # SIDE
  local side=$1 begin command end
  rm -rf "$work/replayed"
  "${as_postgres[@]}" cp -a "$work/base" "$work/replayed"
  rm -rf "$work/replayed/pg_wal" && "${as_postgres[@]}" mkdir -p "$work/replayed/pg_wal/archive_status"
  "${as_postgres[@]}" touch "$work/replayed/standby.signal"
  if [ "$side" = cp ]; then command="cp $pg_data/pg_wal/%f %p"; else command=${side}_fetch command=${!command}; fi
  [ "$side" != pgbackrest ] || sed -i "s,^pg1-path=.*,pg1-path=$work/replayed," "$work/pgbackrest.conf"
  printf "restore_command = '%s'\narchive_mode = off\nfsync = off\n" "$command" |
    "${as_postgres[@]}" tee "$work/replayed/postgresql.auto.conf" >/dev/null
  end=$(lsn_of "${names[-1]}")
  begin=$(seconds)
  "${as_postgres[@]}" "$pg_bin/pg_ctl" start -W -D "$work/replayed" -l "$work/replayed.log" -o "-c unix_socket_directories=$pg_socket" >/dev/null
  until [ "$(psql -qAtX -h "$pg_socket" -U postgres -d postgres -c "select pg_last_wal_replay_lsn() >= '$end'::pg_lsn" 2>/dev/null)" = t ]; do
    sleep 0.05
  done
  rate "replay.$side" "$begin" "$(seconds)"
  "${as_postgres[@]}" "$pg_bin/pg_ctl" stop -D "$work/replayed" -m immediate >/dev/null
}
lsn_of() { # a position close to the end of a segment
  printf '%X/%08X' "$((16#${1:8:8}))" "$((16#${1:16:8} * 16#1000000 + 16#1000000 - 131072))"
}
limits() {
  local begin
  rm -rf "$work/limit"
  "${as_postgres[@]}" mkdir "$work/limit"
  sync
  begin=$(seconds)
  for name in "${names[@]}"; do "${as_postgres[@]}" zstd -q -1 -T2 -o "$work/limit/$name" "$pg_data/pg_wal/$name"; done
  sync
  rate push.zstd "$begin" "$(seconds)"
  begin=$(seconds)
  for name in "${names[@]}"; do "${as_postgres[@]}" sh -c "cp $pg_data/pg_wal/$name $work/limit/RECOVERYXLOG"; done
  rate fetch.cp "$begin" "$(seconds)"
  rm -rf "$work/limit"
}
for round in $(seq "$rounds"); do
  order=("${sides[@]}")
  [ $((round % 2)) = 1 ] || order=(pgbackrest ours)
  for side in "${order[@]}"; do
    push "$side"
    fetch "$side"
    replay "$side"
    "${side}_end"
  done
  replay cp
  limits
  say "Round $round of $rounds is done"
done

"$BACKUPD_TEST_PYTHON" - "$work/results" "$segments" >"$work/tables.md" <<'PYTHON'
import os, statistics, sys

results, segments = sys.argv[1:3]
titles = {"ours": "backupd", "pgbackrest": "pgBackRest, asynchronous, zstd level 1", "zstd": "limit: zstd -1 -T2; sync",
          "cp": "limit: cp"}
goals = {("push", "pgbackrest"): 2, ("push", "zstd"): 0.8, ("fetch", "pgbackrest"): 1.5}
print(f"{segments} segments of 16 MiB, segments a second:\n")
print("|  | pushed | fetched | replayed |")
print("| --- | ---: | ---: | ---: |")
rates = {}
for name in os.listdir(results):
    if name.endswith(".rates"):
        step, side = name.split(".")[:2]
        rates[step, side] = statistics.median(float(line) for line in open(os.path.join(results, name)))
for side, title in titles.items():
    cells = [f"{rates[step, side]:.1f}" if (step, side) in rates else "" for step in ("push", "fetch", "replay")]
    print(f"| {title} | " + " | ".join(cells) + " |")
print("\n| goal | to | measured | limit |  |")
print("| --- | --- | ---: | ---: | ---: |")
for (step, side), limit in goals.items():
    if (step, side) in rates:
        ratio = rates[step, "ours"] / rates[step, side]
        print(f"| {step} | {titles[side]} | {ratio:.2f} | at least {limit} | {'met' if ratio >= limit else 'missed'} |")
print()
PYTHON
pg_start
machine >>"$work/tables.md"
put wal <"$work/tables.md"
