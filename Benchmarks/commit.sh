#!/usr/bin/env bash
# How long commits take that wait for a synchronous receiver: ours, and pg_receivewal --synchronous, in the same run.
#
#   commit.sh [--seconds N] [--rounds N] [--postgres MAJOR]
#
# One pgbench client writes for N seconds at a time, while one of the two receives and the server waits for it. The order
# turns with each round. Prints a table of medians and puts it between the markers of docs/performance.md.
set -euo pipefail
. "$(dirname "$0")/../scripts/environment.sh"
seconds=10 rounds=5 major=15
. "$repo_root/Benchmarks/options.sh"
read_options "seconds rounds postgres=major" "$@"
[ "$rounds" -ge 3 ] || fail "a median needs at least three rounds"
. "$repo_root/Benchmarks/workspace.sh"
pg_create shared_buffers=256MB max_wal_size=8GB checkpoint_timeout=1h autovacuum=off
pg_start
"$pg_bin/pgbench" -i -q -s 10 -h "$pg_socket" -U postgres postgres >"$work/output.log" 2>&1
fresh "$work/ours"
fresh "$work/receivewal"
cat >"$work/ours.yaml" <<YAML
daemon: {state-directory: $work/ours/state, socket: $work/ours/control.sock, workers: 2}
clusters:
  bench: {connection: host=$pg_socket user=postgres dbname=postgres}
repository:
  encryption: {key-file: $work/ours/repository.key}
  stores:
    local: {path: $work/ours/repository}
jobs:
  wal: {kind: wal, cluster: bench, slot: ours, synchronous: true}
YAML
"${as_postgres[@]}" "$work/bin/backupctl" repository create --config "$work/ours.yaml" >/dev/null
waits_for() { [ "$(echo "select sync_state from pg_stat_replication where application_name = '$1'" | pg_sql)" = sync ]; }
wait_on() { # NAME   the server's commits wait for it
  printf "alter system set synchronous_standby_names = '%s'; select pg_reload_conf();\n" "$1" | pg_sql >/dev/null
  wait_for "the server waiting for $1" waits_for "$1"
}
ours_begin() {
  "${as_postgres[@]}" "$work/bin/backupd" --config "$work/ours.yaml" >"$work/backupd.log" 2>&1 &
  helper=$!
}
receivewal_begin() {
  "${as_postgres[@]}" "$pg_bin/pg_receivewal" --synchronous -D "$work/receivewal" -S receivewal --create-slot --if-not-exists \
    -d "host=$pg_socket user=postgres application_name=receivewal" >"$work/output.log" 2>&1
  "${as_postgres[@]}" "$pg_bin/pg_receivewal" --synchronous -D "$work/receivewal" -S receivewal \
    -d "host=$pg_socket user=postgres application_name=receivewal" >"$work/output.log" 2>&1 &
  helper=$!
}
latency() { # SIDE
  local clients
  "${1}_begin"
  wait_on "$1"
  sleep 1
  for clients in 1 8; do
    "$pg_bin/pgbench" -n -N -c "$clients" -j 2 -T "$seconds" -h "$pg_socket" -U postgres postgres 2>/dev/null |
      sed -n 's/^latency average = \(.*\) ms/\1/p' >>"$work/results/latency$clients.$1"
  done
  printf "alter system reset synchronous_standby_names; select pg_reload_conf();\n" | pg_sql >/dev/null
  end_helper
}
for round in $(seq "$rounds"); do
  order=(ours receivewal)
  [ $((round % 2)) = 1 ] || order=(receivewal ours)
  for side in "${order[@]}"; do latency "$side"; done
  say "Round $round of $rounds is done"
done
"$BACKUPD_TEST_PYTHON" - "$work/results" >"$work/tables.md" <<'PYTHON'
import os, statistics, sys

def median(name):
    with open(os.path.join(sys.argv[1], name)) as file:
        return statistics.median(float(line) for line in file)

print("Average latency of a transaction of pgbench that writes, ms:\n")
print("|  | 1 client | 8 clients |")
print("| --- | ---: | ---: |")
values = {side: [median(f"latency{clients}.{side}") for clients in (1, 8)] for side in ("ours", "receivewal")}
for side, title in (("ours", "backupd, synchronous"), ("receivewal", "pg_receivewal --synchronous")):
    print(f"| {title} | " + " | ".join(f"{value:.2f}" for value in values[side]) + " |")
print("\n| goal | to | measured | limit |  |")
print("| --- | --- | ---: | ---: | ---: |")
for number, clients in enumerate(("1 client", "8 clients")):
    ratio = values["ours"][number] / values["receivewal"][number]
    print(f"| {clients} | pg_receivewal --synchronous | {ratio:.2f} | at most 1.2 | {'met' if ratio <= 1.2 else 'missed'} |")
print()
PYTHON
machine >>"$work/tables.md"
put commit <"$work/tables.md"
