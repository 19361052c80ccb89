# shellcheck shell=bash
# The sides that are compared, each a function for a full backup, the second one, and a restore; sourced by bench.sh.
#
# A function "SIDE_full", "SIDE_second" and so on does the work through "measured NAME COMMAND ...", and leaves its bytes
# in "NAME.bytes".

# measured NAME COMMAND ...   appends to NAME.times
measured() {
  local name=$1
  shift
  sync
  "${as_postgres[@]}" /usr/bin/python3 "$work/measure.py" "$work/$name.times" "$(head -1 "$pg_data/postmaster.pid")" \
    "${daemon:-0}" "$@" 2>"$work/output.log" || {
    cat "$work/output.log" >&2
    fail "$name did not succeed"
  }
}
note_bytes() { echo "$2" >>"$work/$1.bytes"; }
directory_bytes() { du -sb "$1" | cut -f1; }
# Without WAL, which the others do not keep here.
backup_bytes() { find "$1" -type f -not -path '*/wal/*' -printf '%s\n' | awk '{ sum += $1 } END { printf "%d", sum }'; }
fresh() {
  rm -rf "$1"
  "${as_postgres[@]}" mkdir "$1"
}

# --- ours: SIDE is "ours" (our defaults) or "ours3" (zstd level 3)
ours_start() {
  export BACKUPD_CONFIG=$work/$1.yaml
  "${as_postgres[@]}" "$work/bin/backupd" --config "$BACKUPD_CONFIG" >"$work/backupd.log" 2>&1 &
  daemon=$!
  local polls=0 status
  while true; do
    status=0
    "${as_postgres[@]}" "$work/bin/backupctl" status >/dev/null 2>&1 || status=$?
    case $status in 0 | 3) break ;; esac
    polls=$((polls + 1))
    [ $polls -lt 100 ] || fail "backupd does not answer"
    sleep 0.1
  done
}
ours_stop() {
  [ -n "$daemon" ] || return 0
  kill "$daemon" 2>/dev/null || true
  wait "$daemon" 2>/dev/null || true
  daemon=''
}
ours_create() {
  fresh "$work/$1"
  cat >"$work/$1.yaml" <<YAML
daemon: {state-directory: $work/$1/state, socket: $work/$1/control.sock, workers: 2}
clusters:
  bench: {connection: host=$pg_socket user=postgres dbname=postgres, data-directory: $pg_data}
repository:
  encryption: {key-file: $work/$1/repository.key}
  stores:
    local: {path: $work/$1/repository}
jobs:
  wal:  {kind: wal, cluster: bench}
  take: {kind: physical, cluster: bench, compression: $2}
YAML
  BACKUPD_CONFIG=$work/$1.yaml "${as_postgres[@]}" "$work/bin/backupctl" repository create >/dev/null
}
# ours_take SIDE NAME
ours_take() {
  local before after
  before=$(backup_bytes "$work/$1/repository")
  ours_start "$1"
  measured "$2" "$work/bin/backupctl" run take
  ours_stop
  after=$(backup_bytes "$work/$1/repository")
  note_bytes "$2" $((after - before))
}
ours_full() { ours_create ours 1 && ours_take ours full.ours; }
ours3_full() { ours_create ours3 3 && ours_take ours3 full.ours3; }
ours_second() { ours_take ours second.ours; }
ours_unchanged() { ours_take ours unchanged.ours; }
ours_restore() {
  rm -rf "$work/restored"
  export BACKUPD_CONFIG=$work/ours.yaml
  measured "$1.ours" "$work/bin/backupctl" restore "$work/restored" --cluster bench --target-immediate "${@:2}"
  rm -rf "$work/restored"
}

# --- pg_basebackup
basebackup() {
  fresh "$work/basebackup"
  measured "full.$1" "$pg_bin/pg_basebackup" -h "$pg_socket" -U postgres -D "$work/basebackup" -c fast -Ft -X none \
    "--compress=$2"
  note_bytes "full.$1" "$(directory_bytes "$work/basebackup")"
  rm -rf "$work/basebackup"
}
basebackup-client_full() { basebackup basebackup-client client-zstd:level=1,workers=2; }
basebackup-server_full() { basebackup basebackup-server server-zstd:level=1; }

# --- PostgreSQL's own incremental, from 17 on
native_full() {
  fresh "$work/native"
  measured full.native "$pg_bin/pg_basebackup" -h "$pg_socket" -U postgres -D "$work/native/full" -c fast -Ft -X none \
    --compress=server-zstd:level=1
  note_bytes full.native "$(directory_bytes "$work/native/full")"
}
native_second() {
  measured second.native "$pg_bin/pg_basebackup" -h "$pg_socket" -U postgres -D "$work/native/second" -c fast -Ft \
    -X none --compress=server-zstd:level=1 "--incremental=$work/native/full/backup_manifest"
  note_bytes second.native "$(directory_bytes "$work/native/second")"
}

# --- pgBackRest: SIDE is "pgbackrest" (zstd level 3) or "pgbackrest1" (level 1)
pgbackrest_run() {
  local side=$1 name=$2
  shift 2
  # Its own archive check and copy are off: it proves no WAL, which is in its favour.
  measured "$name" "$pgbackrest" --config="$work/$side.conf" --stanza=bench "$@"
}
pgbackrest_create() {
  fresh "$work/$1"
  cat >"$work/$1.conf" <<CONF
[global]
repo1-path=$work/$1/repository
repo1-bundle=y
compress-type=zst
compress-level=$2
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
  "${as_postgres[@]}" "$pgbackrest" --config="$work/$1.conf" --stanza=bench stanza-create >/dev/null
}
# pgbackrest_take SIDE NAME TYPE
pgbackrest_take() {
  local before
  before=$(directory_bytes "$work/$1/repository")
  pgbackrest_run "$1" "$2" backup "--type=$3"
  note_bytes "$2" $(($(directory_bytes "$work/$1/repository") - before))
}
pgbackrest_full() { pgbackrest_create pgbackrest 3 && pgbackrest_take pgbackrest full.pgbackrest full; }
pgbackrest1_full() { pgbackrest_create pgbackrest1 1 && pgbackrest_take pgbackrest1 full.pgbackrest1 full; }
pgbackrest_second() { pgbackrest_take pgbackrest second.pgbackrest incr; }
pgbackrest_unchanged() { pgbackrest_take pgbackrest unchanged.pgbackrest incr; }
pgbackrest_restore() {
  fresh "$work/restored"
  chmod 700 "$work/restored"
  pgbackrest_run pgbackrest "$1.pgbackrest" restore --type=immediate "--pg1-path=$work/restored"
  rm -rf "$work/restored"
}

# --- limits: what the machine does with the same bytes and nothing else
read_full() { measured full.read sh -c "find $pg_data/base -type f -exec cat {} + >/dev/null"; note_bytes full.read 0; }
tar_limit() {
  measured "full.tar$1" sh -c "tar -C $pg_data --exclude=pg_wal -cf - . | zstd -q -$1 -T2 >$work/limit$1.zst && sync"
  note_bytes "full.tar$1" "$(stat -c %s "$work/limit$1.zst")"
}
tar1_full() { tar_limit 1; }
tar3_full() { tar_limit 3; }
untar_restore() {
  fresh "$work/restored"
  measured "$1.untar" sh -c "zstd -qdc $work/limit1.zst | tar -C $work/restored -xf - && sync"
  rm -rf "$work/restored"
}
