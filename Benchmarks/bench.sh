#!/usr/bin/env bash
# Backups and restores, ours against other tools', on the same server, disk and run.
#
#   bench.sh [--size UNITS] [--rounds N] [--postgres MAJOR] [--sides "NAME ..."]
#
# A unit is about 15 MB of pgbench and OAuth rows. A round: a full backup by each side into a new place; 3 % of the pages
# changed; the second backup; one with nothing changed; restores. The order of the sides turns with each round. Prints
# tables of medians and puts them between the markers of docs/performance.md.
#
#   BACKUPD_BIN    directory of the programs (default .build/release)
#   BENCH_DIR      where everything is written (default TMPDIR or /tmp): a disk with room for eight times the cluster
#   PGBACKREST     another pgbackrest
set -euo pipefail
. "$(dirname "$0")/../scripts/environment.sh"
. "$repo_root/scripts/throwaway-postgres.sh"
: "${BACKUPD_BIN:=$repo_root/.build/release}"
size=100 rounds=3 major=15 sides=''
while [ $# -gt 0 ]; do
  case $1 in
  --size) size=$2 ;;
  --rounds) rounds=$2 ;;
  --postgres) major=$2 ;;
  --sides) sides=$2 ;;
  *) fail "unknown argument \"$1\"" 'bench.sh [--size UNITS] [--rounds N] [--postgres MAJOR] [--sides "NAME ..."]' ;;
  esac
  shift 2
done
[ "$rounds" -ge 3 ] || fail "a median needs at least three rounds"
for program in backupd backupctl backupd-wal; do
  [ -x "$BACKUPD_BIN/$program" ] || fail "\"$BACKUPD_BIN/$program\" is missing" "make release"
done
pgbackrest=${PGBACKREST:-$(command -v pgbackrest || true)}
if [ -z "$sides" ]; then
  sides="ours ours3 basebackup-client basebackup-server read tar1 tar3 untar"
  [ -z "$pgbackrest" ] || sides+=" pgbackrest pgbackrest1"
  [ "$major" -lt 17 ] || sides+=" native"
fi
read -r -a order <<<"$sides"

work=$(mktemp -d "${BENCH_DIR:-${TMPDIR:-/tmp}}/backupd-bench.XXXXXX")
pg_bin=$BACKUPD_TEST_PG/$major/bin pg_data=$work/data pg_socket=$work/run
daemon=''
. "$(dirname "$0")/sides.sh"
cleanup() {
  local status=$?
  trap - EXIT INT TERM
  [ "$status" = 0 ] || tail -20 "$work/backupd.log" >&2 2>/dev/null || true
  ours_stop
  pg_stop immediate || true
  rm -rf "$work"
  exit "$status"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

chmod 755 "$work"
mkdir "$work/bin" "$pg_socket"
cp "$BACKUPD_BIN"/{backupd,backupctl,backupd-wal} "$work/bin/"
cp "$repo_root/Benchmarks/measure.py" "$work/"
[ "$(id -u)" != 0 ] || chown postgres:postgres "$work" "$pg_socket"
export PATH=$work/bin:$pg_bin:$PATH
cd "$work"

say "Filling PostgreSQL $major: $size units"
settings=(shared_buffers=256MB max_wal_size=8GB autovacuum=off)
[ "$major" -lt 17 ] || settings+=(summarize_wal=on)
pg_create "${settings[@]}"
pg_start
"$pg_bin/pgbench" -i -q -s $((size / 4 + 1)) -F 90 -h "$pg_socket" -U postgres postgres 2>/dev/null
pg_sql -f "$repo_root/scripts/oauth/schema.sql"
pg_sql -v rows=$((size * 14000)) -f "$repo_root/Benchmarks/seed.sql"
pg_sql -c checkpoint
cluster_bytes=$(directory_bytes "$pg_data/base")

rotated() { # the sides, beginning with another in each round
  local shift=$((($1 - 1) % ${#order[@]}))
  printf '%s\n' "${order[@]:shift}" "${order[@]:0:shift}"
}
# each STEP ROUND [ARGUMENT ...]   calls SIDE_STEP of those sides that have it
each() {
  local step=$1 round=$2 side
  shift 2
  for side in $(rotated "$round"); do
    declare -F "${side}_$step" >/dev/null || continue
    find "$pg_data/base" -type f -exec cat {} + >/dev/null
    "${side}_$step" "$@"
  done
}

changed_pages=0 changed_bytes=0
for round in $(seq "$rounds"); do
  each full "$round"
  if [ "$round" = 1 ]; then cp -a "$pg_data/base" "$work/before"; fi
  pg_sql -v share=0.03 -f "$repo_root/Benchmarks/touch.sql"
  if [ "$round" = 1 ]; then
    read -r changed_pages changed_bytes < <("$BACKUPD_TEST_PYTHON" "$repo_root/Benchmarks/changed.py" before data/base)
    rm -rf "$work/before"
  fi
  each second "$round"
  each unchanged "$round"
  each restore "$round" restore
  say "round $round of $rounds is done: full, second, unchanged and restore took us" \
    "$(for step in full second unchanged restore; do tail -1 "$work/$step.ours.times" | cut -d' ' -f1; done | xargs) s"
done

model=$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -1)
names=(ours=backupd "ours3=backupd, zstd level 3" "pgbackrest=pgBackRest, zstd level 3" "pgbackrest1=pgBackRest, zstd level 1"
  "basebackup-client=pg_basebackup, client zstd 1" "basebackup-server=pg_basebackup, server zstd 1"
  "native=pg_basebackup, incremental" "untar=zstd -d, tar -x; sync" "read=limit: reading the files"
  "tar1=limit: tar, zstd -1 -T2; sync" "tar3=limit: tar, zstd -3 -T2; sync")
# put SCENARIO TITLE CHANGED   prints the table and puts it between its markers
put() {
  {
    printf '%s\n\n' "$2"
    /usr/bin/python3 "$repo_root/Benchmarks/table.py" "$work" "$1" "$3" "$cluster_bytes" "${names[@]}"
    printf '\n%s, %s cores, %s GiB, %s; PostgreSQL %s%s; medians of %s rounds.\n' "${model:-$(uname -m)}" "$(nproc)" \
      "$(awk '$1 == "MemTotal:" { printf "%.0f", $2 / 1048576 }' /proc/meminfo)" "$(findmnt -n -o FSTYPE -T "$work")" \
      "$(pg_sql -c 'show server_version' | cut -d' ' -f1)" "${pgbackrest:+; $("$pgbackrest" version)}" "$rounds"
  } >"$work/table.md"
  cat "$work/table.md"
  local page=$repo_root/docs/performance.md marker=$1
  [ "$major" = 15 ] || marker=$1-$major
  if grep -q "<!-- bench:$marker:begin -->" "$page"; then
    sed -e "/<!-- bench:$marker:begin -->/r $work/table.md" \
      -e "/<!-- bench:$marker:begin -->/,/<!-- bench:$marker:end -->/{/<!-- bench:/!d}" "$page" >"$work/page.md"
    cat "$work/page.md" >"$page"
  fi
}
bytes="$(awk -v b="$cluster_bytes" 'BEGIN { printf "%.0f", b / 1048576 }') MiB"
put full "Full backup of $bytes:" 0
put second "Second backup, $changed_pages pages of $((cluster_bytes / 8192)) changed at random:" "$changed_bytes"
put unchanged "Nothing changed since the last backup, $bytes:" 0
put restore "Restore of the second backup:" 0
