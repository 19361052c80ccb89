# shellcheck shell=bash
# pgBackRest: Debian's at two levels, and another one where PGBACKREST names it, with block incrementals where it has them.
declare -A pgbackrest_program=() pgbackrest_options=()

# pgbackrest_side SIDE PROGRAM TITLE STEPS LEVEL [OPTION]
pgbackrest_side() {
  pgbackrest_program[$1]=$2
  pgbackrest_options[$1]="compress-level=$5${6:+$'\n'$6}"
  # Whether it knows this version of PostgreSQL is for it to say.
  if pgbackrest_create "$1" >"$work/output.log" 2>&1; then
    side "$1" "$3" "$4"
  else
    say "$3 takes no part: $(head -1 "$work/output.log")"
  fi
}
pgbackrest_ctl() { "${as_postgres[@]}" "${pgbackrest_program[$1]}" --config="$work/$1.conf" --stanza=bench "${@:2}"; }
pgbackrest_create() {
  fresh "$work/$1"
  # It proves no WAL, which is in its favour: archiving is off, and so are its check and copy.
  cat >"$work/$1.conf" <<CONF
[global]
repo1-path=$work/$1/repository
repo1-bundle=y
compress-type=zst
${pgbackrest_options[$1]}
process-max=2
start-fast=y
archive-check=n
archive-copy=n
log-level-file=off
log-level-console=warn
lock-path=$work/$1/lock
spool-path=$work/$1/spool
[bench]
pg1-path=$pg_data
pg1-socket-path=$pg_socket
pg1-user=postgres
CONF
  pgbackrest_ctl "$1" stanza-create
}
# pgbackrest_backup SIDE STEP
pgbackrest_backup() {
  local type=incr before
  case $2 in full | first)
    type=full
    pgbackrest_create "$1" >/dev/null
    ;;
  esac
  before=$(directory_bytes "$work/$1/repository")
  measured "$2.$1" "${pgbackrest_program[$1]}" --config="$work/$1.conf" --stanza=bench backup "--type=$type"
  note_bytes "$2.$1" $(($(directory_bytes "$work/$1/repository") - before))
}
# pgbackrest_bring_back SIDE first|later
pgbackrest_bring_back() {
  local set
  set=$(find "$work/$1/repository/backup/bench" -mindepth 1 -maxdepth 1 -type d -name '2*' -printf '%f\n' | sort |
    if [ "$2" = first ]; then head -1; else tail -1; fi)
  fresh "$work/restored"
  warm "$work/$1/repository"
  measured "restore-$2.$1" "${pgbackrest_program[$1]}" --config="$work/$1.conf" --stanza=bench restore \
    "--set=$set" --type=immediate "--pg1-path=$work/restored"
}

pgbackrest_take() { pgbackrest_backup pgbackrest "$1"; }
pgbackrest_restore() { pgbackrest_bring_back pgbackrest "$1"; }
pgbackrest1_take() { pgbackrest_backup pgbackrest1 "$1"; }
pgbackrest_other_take() { pgbackrest_backup pgbackrest_other "$1"; }
pgbackrest_other_restore() { pgbackrest_bring_back pgbackrest_other "$1"; }

if [ -x /usr/bin/pgbackrest ]; then
  version=$(/usr/bin/pgbackrest version)
  pgbackrest_side pgbackrest /usr/bin/pgbackrest "$version, zstd level 3" "full second unchanged restore" 3
  pgbackrest_side pgbackrest1 /usr/bin/pgbackrest "$version, zstd level 1" full 1
fi
if [ -n "${PGBACKREST:-}" ]; then
  [ -x "$PGBACKREST" ] || fail "\"$PGBACKREST\" (PGBACKREST) is no program"
  version=$("$PGBACKREST" version) block=''
  if [ "$(printf '%s\n' "pgBackRest 2.46" "$version" | sort -V | head -1)" = "pgBackRest 2.46" ]; then block=repo1-block=y; fi
  pgbackrest_side pgbackrest_other "$PGBACKREST" "$version, zstd level 3${block:+, blocks}" \
    "full second unchanged restore" 3 "$block"
fi
