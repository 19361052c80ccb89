# shellcheck shell=bash
# Barman on the server's own host: rsync with two jobs, files that did not change as hard links, WAL streamed.
barman_program=${BARMAN:-$BACKUPD_TEST_CACHE/barman/bin/barman}
if [ -x "$barman_program" ] && command -v rsync >/dev/null; then
  side barman "Barman $("$barman_program" --version | cut -d' ' -f1 | head -1), rsync" "full second unchanged restore"
fi

barman_ctl() { "${as_postgres[@]}" "$barman_program" -q -c "$work/barman/barman.conf" "$@"; }
barman_create() {
  fresh "$work/barman"
  drop_slot barman
  "${as_postgres[@]}" mkdir -p "$work/barman/home/bench/base" "$work/barman/conf.d"
  "${as_postgres[@]}" tee "$work/barman/barman.conf" >/dev/null <<CONF
[barman]
barman_user = $(id -un "$(stat -c %u "$work/barman")")
barman_home = $work/barman/home
configuration_files_directory = $work/barman/conf.d
log_file = $work/barman/barman.log
[bench]
description = bench
conninfo = host=$pg_socket user=postgres dbname=postgres
streaming_conninfo = host=$pg_socket user=postgres
backup_method = local-rsync
backup_options = concurrent_backup
reuse_backup = link
parallel_jobs = 2
immediate_checkpoint = true
archiver = off
streaming_archiver = on
slot_name = barman
create_slot = auto
path_prefix = $pg_bin
CONF
  barman_ctl receive-wal --create-slot bench
}
barman_streaming() {
  [ "$(echo "select count(*) from pg_stat_replication where application_name = 'barman_receive_wal'" | pg_sql)" = 1 ]
}
barman_start() {
  barman_ctl receive-wal bench >"$work/barman.log" 2>&1 &
  helper=$!
  wait_for "Barman receiving WAL" barman_streaming
  # It refuses to begin before a first segment has come.
  barman_archive
}
# The segment in use, closed and taken in. The message behind it makes the server send its end at once.
barman_archive() {
  local message="select pg_logical_emit_message(true, 'bench', '')" segment
  segment=$(pg_sql -c "$message" -c 'select pg_walfile_name(pg_switch_wal())' -c "$message" | sed -n 2p)
  wait_for "Barman receiving $segment" test -e "$work/barman/home/bench/streaming/$segment"
  barman_ctl archive-wal bench >/dev/null
}
barman_take() { # of a history only what is restored: its backups do not build on each other
  local before
  case $1 in
  full | first) barman_create ;;
  later) [ "$2" = "$history" ] || return 0 ;;
  esac
  before=$(directory_bytes "$work/barman/home/bench/base")
  barman_start
  measured "$1.barman" "$barman_program" -q -c "$work/barman/barman.conf" backup bench
  barman_archive
  end_helper barman_ctl receive-wal --stop bench
  note_bytes "$1.barman" $(($(directory_bytes "$work/barman/home/bench/base") - before))
}
barman_restore() {
  local backup=oldest
  [ "$1" = first ] || backup=latest
  warm "$work/barman/home"
  measured "restore-$1.barman" "$barman_program" -q -c "$work/barman/barman.conf" restore bench "$backup" "$work/restored"
}
