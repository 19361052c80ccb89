# shellcheck shell=bash
# Where things are; sourced by the other scripts. A value that is already in the environment stands.
repo_root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
if [ -z "${BACKUPD_TEST_CACHE:-}" ]; then
  if [ "$(id -u)" = 0 ]; then
    BACKUPD_TEST_CACHE=/var/cache/backupd-test
  else
    BACKUPD_TEST_CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/backupd-test
  fi
fi
# PREFIX/15/bin … PREFIX/18/bin: the servers that the tests run.
: "${BACKUPD_TEST_PG:=$BACKUPD_TEST_CACHE/postgresql}"
# A Python with the Varlink client and what the second reader of the repository needs.
: "${BACKUPD_TEST_PYTHON:=$BACKUPD_TEST_CACHE/python/bin/python3}"
# Prometheus' tool, which checks metrics and rules.
# Scripts that start real servers, and the Python environment whose servers they start.
: "${BACKUPD_TEST_PARTS:=$repo_root/../shared/test-parts}"
: "${BACKUPD_TEST_SERVERS:=$BACKUPD_TEST_CACHE/servers}"
: "${BACKUPD_TEST_PROMTOOL:=$BACKUPD_TEST_CACHE/promtool}"
export BACKUPD_TEST_PROMTOOL
export BACKUPD_TEST_PARTS BACKUPD_TEST_SERVERS repo_root BACKUPD_TEST_CACHE BACKUPD_TEST_PG BACKUPD_TEST_PYTHON

say() { printf '%s\n' "$*"; }
fail() {
  printf 'error: %s\n' "$1" >&2
  shift
  for hint in "$@"; do printf 'HINT: %s\n' "$hint" >&2; done
  exit 1
}

# PostgreSQL refuses root: prefix a command with this to run it as user postgres where we are root.
as_postgres=(env)
if [ "$(id -u)" = 0 ]; then
  as_postgres=(setpriv --reuid postgres --regid postgres --init-groups env HOME=/tmp)
fi
