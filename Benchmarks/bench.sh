#!/usr/bin/env bash
# The first backup, ours against pg_basebackup's, on the same server, disk and run.
#
#   bench.sh [--size SCALE] [--rounds N] [--postgres MAJOR]
#
# Each round takes one of each, in alternating order, into a new place. Ours is "backupctl run" through the daemon: two
# workers, encryption, page checksums verified, WAL streamed, a new repository each time. Theirs is
#   pg_basebackup -c fast -Ft -X none --compress=client-zstd:level=1,workers=2
# Prints the table and puts it between the markers of docs/performance.md.
#
#   BACKUPD_BIN    directory of the programs (default .build/release)
#   BENCH_DIR      where everything is written (default TMPDIR or /tmp): a disk with room for four times the cluster
set -euo pipefail
. "$(dirname "$0")/../scripts/environment.sh"
. "$repo_root/scripts/throwaway-postgres.sh"
: "${BACKUPD_BIN:=$repo_root/.build/release}"
size=100 rounds=3 major=15
while [ $# -gt 0 ]; do
  case $1 in
  --size) size=$2 ;;
  --rounds) rounds=$2 ;;
  --postgres) major=$2 ;;
  *) fail "unknown argument \"$1\"" "bench.sh [--size SCALE] [--rounds N] [--postgres MAJOR]" ;;
  esac
  shift 2
done
[ "$rounds" -ge 3 ] || fail "a median needs at least three rounds"
for program in backupd backupctl backupd-wal; do
  [ -x "$BACKUPD_BIN/$program" ] || fail "\"$BACKUPD_BIN/$program\" is missing" "make release"
done

work=$(mktemp -d "${BENCH_DIR:-${TMPDIR:-/tmp}}/backupd-bench.XXXXXX")
pg_bin=$BACKUPD_TEST_PG/$major/bin pg_data=$work/data pg_socket=$work/run
daemon=''
cleanup() {
  local status=$?
  trap - EXIT INT TERM
  [ "$status" = 0 ] || tail -20 "$work/backupd.log" >&2 2>/dev/null || true
  stop_daemon
  pg_stop immediate || true
  rm -rf "$work"
  exit "$status"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

stop_daemon() {
  [ -n "$daemon" ] || return 0
  kill "$daemon" 2>/dev/null || true
  wait "$daemon" 2>/dev/null || true
  daemon=''
}
since() { awk -v a="$1" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.2f", b - a }'; }
median() { sort -n "$1" | awk '{ v[NR] = $1 } END { print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'; }
ratio() { awk -v a="$1" -v b="$2" 'BEGIN { printf "%.2f", a / b }'; }
directory_bytes() { du -sb "$1" | cut -f1; }
mebibytes() { awk -v b="$1" 'BEGIN { printf "%.0f", b / 1048576 }'; }
# User and system time of a process so far, in seconds (proc(5), fields 14 and 15 of stat; the name holds no blank).
cpu_seconds() { awk -v hz="$(getconf CLK_TCK)" '{ printf "%.2f", ($14 + $15) / hz }' "/proc/$1/stat"; }
memory_mib() { awk -v key="$2:" '$1 == key { printf "%.0f", $2 / 1024 }' "/proc/$1/status"; }
ctl() { "${as_postgres[@]}" "$work/bin/backupctl" "$@"; }

chmod 755 "$work"
mkdir "$work/bin" "$pg_socket"
cp "$BACKUPD_BIN"/{backupd,backupctl,backupd-wal} "$work/bin/"
[ "$(id -u)" != 0 ] || chown postgres:postgres "$work" "$pg_socket"
export PATH=$work/bin:$pg_bin:$PATH BACKUPD_CONFIG=$work/backupd.yaml
cd "$work"
cat >"$BACKUPD_CONFIG" <<YAML
daemon: {state-directory: $work/ours/state, socket: $work/run/control.sock, workers: 2}
clusters:
  bench: {connection: host=$pg_socket user=postgres dbname=postgres}
repository:
  encryption: {key-file: $work/ours/repository.key}
  stores:
    local: {path: $work/ours/repository}
jobs:
  wal:   {kind: wal, cluster: bench}
  first: {kind: physical, cluster: bench}
YAML

say "Filling PostgreSQL $major: pgbench scale $size and $((size * 2000)) users"
pg_create shared_buffers=256MB max_wal_size=8GB
pg_start
"$pg_bin/pgbench" -i -q -s "$size" -h "$pg_socket" -U postgres postgres 2>/dev/null
pg_sql -f "$repo_root/scripts/oauth/schema.sql"
pg_sql -v users=$((size * 2000)) -f "$repo_root/scripts/oauth/seed.sql"
# Both sides find the same state: vacuumed, checkpointed, on disk, in the page cache.
pg_sql -c 'vacuum freeze analyze' -c checkpoint
cluster_bytes=$(directory_bytes "$pg_data/base")
find "$pg_data/base" -type f -exec cat {} + >/dev/null

daemon_answers() {
  local status=0
  ctl status >/dev/null 2>&1 || status=$?
  [ "$status" = 0 ] || [ "$status" = 3 ]
}

ours() {
  rm -rf "$work/ours"
  "${as_postgres[@]}" mkdir "$work/ours"
  ctl repository create >/dev/null
  "${as_postgres[@]}" "$work/bin/backupd" --config "$BACKUPD_CONFIG" >"$work/backupd.log" 2>&1 &
  daemon=$!
  local polls=0
  until daemon_answers; do
    polls=$((polls + 1))
    [ $polls -lt 100 ] || fail "backupd does not answer"
    sleep 0.1
  done
  memory_mib "$daemon" VmRSS >>"$work/ours.idle"
  sync
  local cpu start
  cpu=$(cpu_seconds "$daemon")
  start=$EPOCHREALTIME
  ctl run first >"$work/run.log" 2>&1 || {
    cat "$work/run.log" >&2
    fail "the backup did not succeed"
  }
  since "$start" >>"$work/ours.wall"
  echo >>"$work/ours.wall"
  awk -v a="$cpu" -v b="$(cpu_seconds "$daemon")" 'BEGIN { printf "%.2f\n", b - a }' >>"$work/ours.cpu"
  memory_mib "$daemon" VmHWM >>"$work/ours.peak"
  for file in ours.idle ours.peak; do echo >>"$work/$file"; done
  stop_daemon
  directory_bytes "$work/ours/repository" >>"$work/ours.bytes"
}

theirs() {
  rm -rf "$work/theirs"
  sync
  local TIMEFORMAT='%R %U %S' times
  times=$({ time "${as_postgres[@]}" "$pg_bin/pg_basebackup" -h "$pg_socket" -U postgres -D "$work/theirs" -c fast -Ft \
    -X none --compress=client-zstd:level=1,workers=2 2>"$work/basebackup.log"; } 2>&1) || {
    cat "$work/basebackup.log" >&2
    fail "pg_basebackup did not succeed"
  }
  awk '{ print $1 }' <<<"$times" >>"$work/theirs.wall"
  awk '{ printf "%.2f\n", $2 + $3 }' <<<"$times" >>"$work/theirs.cpu"
  directory_bytes "$work/theirs" >>"$work/theirs.bytes"
}

for round in $(seq "$rounds"); do
  if [ $((round % 2)) = 1 ]; then
    ours
    theirs
  else
    theirs
    ours
  fi
  say "round $round: backupd $(tail -1 "$work/ours.wall") s, pg_basebackup $(tail -1 "$work/theirs.wall") s"
done

model=$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -1)
memory=$(awk '$1 == "MemTotal:" { printf "%.0f", $2 / 1048576 }' /proc/meminfo)
filesystem=$(findmnt -n -o FSTYPE -T "$work")
ours_wall=$(median "$work/ours.wall") theirs_wall=$(median "$work/theirs.wall")
{
  printf '| first backup of %s MiB | median wall, s | CPU of the client side, s | stored, MiB |\n' "$(mebibytes "$cluster_bytes")"
  printf '| --- | ---: | ---: | ---: |\n'
  for side in ours theirs; do
    name=backupd
    [ $side = ours ] || name=pg_basebackup
    printf '| %s | %s | %s | %s |\n' "$name" "$(median "$work/$side.wall")" "$(median "$work/$side.cpu")" \
      "$(mebibytes "$(median "$work/$side.bytes")")"
  done
  printf '\n- Wall time, backupd to pg_basebackup: **%s** (medians of %s rounds; at most 1.00 is the goal).\n' \
    "$(ratio "$ours_wall" "$theirs_wall")" "$rounds"
  printf -- '- Memory of the daemon: %s MiB at the peak, %s MiB idle.\n' \
    "$(sort -n "$work/ours.peak" | tail -1)" "$(median "$work/ours.idle")"
  printf -- '- %s, %s cores, %s GiB, %s; PostgreSQL %s.\n' "${model:-$(uname -m)}" "$(nproc)" "$memory" "$filesystem" \
    "$(pg_sql -c 'show server_version' | cut -d' ' -f1)"
} >"$work/table.md"
cat "$work/table.md"

page=$repo_root/docs/performance.md
if grep -q '<!-- bench:begin -->' "$page"; then
  sed -e '/<!-- bench:begin -->/r '"$work/table.md" -e '/<!-- bench:begin -->/,/<!-- bench:end -->/{/<!-- bench:/!d}' \
    "$page" >"$work/page.md"
  cat "$work/page.md" >"$page"
fi
