#!/usr/bin/env bash
# The whole product in a minute: a throw-away PostgreSQL with an OAuth schema under load, a base backup and streamed WAL,
# a bad DELETE, a lost data directory, and every row back as it was just before. Leaves nothing running and no file.
#
#   demo.sh        BACKUPD_BIN: directory of the programs (default .build/release); DEMO_POSTGRES: 15 to 18
set -euo pipefail
. "$(dirname "$0")/environment.sh"
. "$repo_root/scripts/throwaway-postgres.sh"
: "${BACKUPD_BIN:=$repo_root/.build/release}"
users=20000
tables=(users user_providers oauth_tokens user_sessions auth_audit_log)

for program in backupd backupctl backupd-wal; do
  [ -x "$BACKUPD_BIN/$program" ] || fail "\"$BACKUPD_BIN/$program\" is missing" "make release"
done

work=$(mktemp -d "${TMPDIR:-/tmp}/backupd-demo.XXXXXX")
pg_bin=$BACKUPD_TEST_PG/${DEMO_POSTGRES:-15}/bin pg_data=$work/data pg_socket=$work/run
daemon='' load=''

# end PID [SECONDS]   TERM, then KILL; only processes that this script started
end() {
  local pid=$1 polls=$((${2:-15} * 20))
  kill "$pid" 2>/dev/null || return 0
  for _ in $(seq "$polls"); do
    kill -0 "$pid" 2>/dev/null || break
    sleep 0.05
  done
  kill -KILL "$pid" 2>/dev/null || true
  wait "$pid" 2>/dev/null || true
}

cleanup() {
  local status=$?
  trap - EXIT INT TERM
  if [ "$status" != 0 ] && [ -s "$work/backupd.log" ]; then
    printf '\nThe daemon said at the end:\n' >&2
    tail -20 "$work/backupd.log" >&2
  fi
  [ -z "$load" ] || end "$load" 2
  [ -z "$daemon" ] || end "$daemon"
  pg_stop immediate || true
  rm -rf "$work"
  exit "$status"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

number=0 phase='' phase_start='' phases=()
finish_phase() {
  [ -n "$phase" ] || return 0
  local took
  took=$(awk -v a="$phase_start" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.1f", b - a }')
  phases+=("$took" "$phase")
  phase=''
}
step() {
  finish_phase
  number=$((number + 1))
  phase=$1 phase_start=$EPOCHREALTIME
  printf '\n%d. %s\n' "$number" "$1"
}
note() { printf '   %s\n' "$*"; }
indented() { sed 's/^/   /'; }

# Runs backupctl as the daemon's user.
ctl() { "${as_postgres[@]}" "$work/bin/backupctl" "$@"; }
# The same, and shows the command; what it prints goes straight to a terminal, progress bar included.
shown_ctl() {
  note "\$ backupctl $*"
  ctl "$@"
}

# until_true SECONDS WHAT COMMAND…
until_true() {
  local end=$((SECONDS + $1)) what=$2
  shift 2
  until "$@" >/dev/null 2>&1; do
    [ $SECONDS -lt $end ] || fail "$what: not within the time allowed"
    [ -z "$daemon" ] || kill -0 "$daemon" 2>/dev/null || fail "$what: backupd has ended"
    sleep 0.1
  done
}

# status exits 0 or, where a condition is raised, 3: both are answers.
daemon_answers() {
  local status=0
  ctl status || status=$?
  [ "$status" = 0 ] || [ "$status" = 3 ]
}

# wal_durable LSN   whether every store holds the WAL before it
wal_durable() {
  ctl wal status --json | "$BACKUPD_TEST_PYTHON" -c '
import json, sys
def position(text):
    high, low = text.split("/")
    return int(high, 16) << 32 | int(low, 16)
clusters = json.load(sys.stdin)
wanted = position(sys.argv[1])
held = [store.get("durableLSN") for cluster in clusters for store in cluster["stores"]]
sys.exit(0 if held and all(lsn and position(lsn) >= wanted for lsn in held) else 1)' "$1"
}

# One line a table: name, rows, and a digest of all their contents.
fingerprint() {
  local table
  for table in "${tables[@]}"; do
    printf "select '%s', count(*), md5(string_agg(md5(t::text), '' order by md5(t::text))) from %s t;\n" \
      "$table" "$table"
  done | pg_sql
}
show_counts() { awk -F'|' '{ printf "   %-16s %8d rows\n", $1, $2 }' "$1"; }

start_load() { "$pg_bin/pgbench" -n -h "$pg_socket" -U postgres -D users=$users -f "$repo_root/scripts/oauth/load.sql" \
  -c 2 --rate=300 -T 600 postgres >"$work/load.log" 2>&1 & load=$!; }
stop_load() {
  end "$load" 2
  load=''
}

# The copies are reachable by user postgres wherever this source tree lies.
chmod 755 "$work"
mkdir "$work/bin" "$pg_socket" "$work/backup"
cp "$BACKUPD_BIN"/{backupd,backupctl,backupd-wal} "$work/bin/"
[ "$(id -u)" != 0 ] || chown postgres:postgres "$work" "$pg_socket" "$work/backup"
export PATH=$work/bin:$pg_bin:$PATH BACKUPD_CONFIG=$work/backupd.yaml
cd "$work"

step "Start PostgreSQL with an OAuth schema, $users users and load"
pg_create shared_buffers=64MB
pg_start
pg_sql -f "$repo_root/scripts/oauth/schema.sql"
pg_sql -v users=$users -f "$repo_root/scripts/oauth/seed.sql"
start_load
note "$(pg_sql -c 'show server_version' | sed 's/^/PostgreSQL /'), $(pg_sql -c \
  'select pg_size_pretty(sum(pg_database_size(oid))) from pg_database'), 300 transactions a second"

step "Create the repository and start backupd"
cat >"$BACKUPD_CONFIG" <<YAML
daemon: {state-directory: $work/backup/state, socket: $work/run/control.sock}
clusters:
  oauth: {connection: host=$pg_socket user=postgres dbname=postgres}
repository:
  encryption: {key-file: $work/backup/repository.key}
  stores:
    local: {path: $work/backup/repository}
jobs:
  wal:      {kind: wal, cluster: oauth, partial-interval: 2s}
  physical: {kind: physical, cluster: oauth, schedule: "*/5 * * * *", keep: 24h}
YAML
indented <"$BACKUPD_CONFIG"
shown_ctl repository create
"${as_postgres[@]}" "$work/bin/backupd" --config "$BACKUPD_CONFIG" >"$work/backupd.log" 2>&1 &
daemon=$!
until_true 15 "backupd answering" daemon_answers

step "Take a base backup while the load runs"
shown_ctl run physical
shown_ctl backups

step "Let transactions run"
sleep 5
stop_load
note "the load pauses, so that what we expect back can be counted"
fingerprint >"$work/before"
show_counts "$work/before"
instant=$(pg_sql -c "select to_char(clock_timestamp() at time zone 'utc', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')")
note "the instant just before the mistake: $instant"

step "Make the mistake: DELETE FROM users"
pg_sql -c 'delete from users'
start_load
sleep 1
stop_load
fingerprint >"$work/after"
show_counts "$work/after"
lsn=$(pg_sql -c 'select pg_current_wal_flush_lsn()')
until_true 15 "WAL up to $lsn in the repository" wal_durable "$lsn"
note "WAL up to $lsn is in the repository"

step "Lose the server and its data directory"
pg_stop immediate
rm -rf "$pg_data"
note "\"$pg_data\" is gone"

step "Restore to the instant before the mistake and start the server"
shown_ctl restore "$pg_data" --cluster oauth --target-time "$instant" --start

step "Compare"
fingerprint >"$work/restored"
show_counts "$work/restored"
cmp -s "$work/before" "$work/restored" || {
  diff "$work/before" "$work/restored" >&2 || true
  fail "the restored rows differ"
}
note "every row of every table is as it was at $instant"

step "Status"
status=0
shown_ctl status || status=$?
[ "$status" = 0 ] || [ "$status" = 3 ] || fail "backupctl status: exit status $status"

step "Stop everything"
end "$daemon"
daemon=''
pg_stop fast
note "nothing is left running"
finish_phase

printf '\nHow long each phase took, in seconds\n'
printf '   %6s  %s\n' "${phases[@]}"
printf '   %6s  %s\n' "$SECONDS" "in all"
