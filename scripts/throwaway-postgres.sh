# shellcheck shell=bash
# A PostgreSQL server of our own for demonstrations and measurements; sourced after environment.sh.
#
# Set pg_bin (programs), pg_data (data directory) and pg_socket (directory of its socket) first, all reachable by user
# postgres. It listens on no network address.

# pg_create [SETTING=VALUE ...]
pg_create() {
  "${as_postgres[@]}" "$pg_bin/initdb" -D "$pg_data" -U postgres --auth=trust --data-checksums --encoding=UTF8 \
    --locale=C.UTF-8 --no-instructions >"$pg_socket/initdb.log" 2>&1 || {
    cat "$pg_socket/initdb.log" >&2
    return 1
  }
  local setting
  for setting in listen_addresses= "unix_socket_directories=$pg_socket" timezone=UTC "$@"; do
    printf "%s = '%s'\n" "${setting%%=*}" "${setting#*=}"
  done | "${as_postgres[@]}" tee -a "$pg_data/postgresql.conf" >/dev/null
}

pg_start() {
  "${as_postgres[@]}" "$pg_bin/pg_ctl" start -D "$pg_data" -l "$pg_socket/server.log" -w -t 60 >/dev/null || {
    tail -20 "$pg_socket/server.log" >&2
    return 1
  }
}

# pg_stop [MODE]   nothing to do where no server runs there
pg_stop() {
  [ -e "$pg_data/postmaster.pid" ] || return 0
  "${as_postgres[@]}" "$pg_bin/pg_ctl" stop -D "$pg_data" -m "${1:-fast}" -w >/dev/null
}

# pg_sql [psql argument ...] SQL comes from standard input
pg_sql() { "$pg_bin/psql" -XAtq -v ON_ERROR_STOP=1 -h "$pg_socket" -U postgres "$@"; }
