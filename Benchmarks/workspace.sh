# shellcheck shell=bash
# The place a benchmark works in, with our programs in it; sourced after environment.sh with $major set.
#
# Sets work, pg_bin, pg_data, pg_socket and helper, changes to $work, and removes it all at the end.
. "$repo_root/scripts/throwaway-postgres.sh"
. "$repo_root/Benchmarks/measure.sh"
. "$repo_root/Benchmarks/report.sh"
: "${BACKUPD_BIN:=$repo_root/.build/release}"
for program in backupd backupctl backupd-wal; do
  [ -x "$BACKUPD_BIN/$program" ] || fail "\"$BACKUPD_BIN/$program\" is missing" "make release"
done
[ -x "$BACKUPD_TEST_PG/$major/bin/postgres" ] || fail "PostgreSQL $major is missing" "make setup"

work=$(mktemp -d "${BENCH_DIR:-${TMPDIR:-/tmp}}/backupd-bench.XXXXXX")
pg_bin=$BACKUPD_TEST_PG/$major/bin pg_data=$work/data pg_socket=$work/run
helper=''
cleanup() {
  local status=$?
  trap - EXIT INT TERM
  if [ "$status" != 0 ] && [ -s "$work/backupd.log" ]; then
    printf '\nThe daemon said at the end:\n' >&2
    tail -20 "$work/backupd.log" >&2
  fi
  end_helper
  pg_stop immediate || true
  rm -rf "$work"
  exit "$status"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# The copies are reachable by user postgres wherever this source tree lies.
chmod 755 "$work"
mkdir "$work/bin" "$work/results" "$pg_socket"
cp "$BACKUPD_BIN"/{backupd,backupctl,backupd-wal} "$repo_root/Benchmarks/measure.py" "$work/bin/"
[ "$(id -u)" != 0 ] || chown postgres:postgres "$work" "$work/results" "$pg_socket"
export PATH=$work/bin:$pg_bin:$PATH
cd "$work"
