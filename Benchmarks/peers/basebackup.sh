# shellcheck shell=bash
# pg_basebackup into tar files; from PostgreSQL 17 on also its incremental backups, put together by pg_combinebackup.
side basebackup_client "pg_basebackup, client zstd 1" "full"
side basebackup_server "pg_basebackup, server zstd 1" "full"

# basebackup STEP.SIDE DIRECTORY COMPRESSION [OPTION ...]
basebackup() {
  measured "$1" "$pg_bin/pg_basebackup" -h "$pg_socket" -U postgres -D "$2" -c fast -Ft -X none "--compress=$3" "${@:4}"
  note_bytes "$1" "$(directory_bytes "$2")"
}
basebackup_client_take() {
  fresh "$work/basebackup_client"
  basebackup "$1.basebackup_client" "$work/basebackup_client/1" client-zstd:level=1,workers=2
}
basebackup_server_take() {
  fresh "$work/basebackup_server"
  basebackup "$1.basebackup_server" "$work/basebackup_server/1" server-zstd:level=1,workers=2
}

if [ "$major" -ge 17 ]; then side native "pg_basebackup --incremental" "full second unchanged restore"; fi
native_number=0
native_take() {
  local options=()
  case $1 in full | first)
    fresh "$work/native"
    native_number=0
    ;;
  *) options=("--incremental=$work/native/$native_number/backup_manifest") ;;
  esac
  native_number=$((native_number + 1))
  basebackup "$1.native" "$work/native/$native_number" server-zstd:level=1,workers=2 "${options[@]}"
}
native_restore() {
  local last=$native_number
  [ "$1" = later ] || last=1
  warm "$work/native"
  cat >"$work/combine.sh" <<SH
set -e
for number in \$(seq $last); do
  mkdir $work/combine/\$number
  zstd -qdc $work/native/\$number/base.tar.zst | tar -C $work/combine/\$number -xf -
  cp $work/native/\$number/backup_manifest $work/combine/\$number/
done
if [ $last = 1 ]; then
  mv $work/combine/1 $work/restored
  sync
else
  $pg_bin/pg_combinebackup -o $work/restored \$(seq -f $work/combine/%g $last)
fi
SH
  fresh "$work/combine"
  measured "restore-$1.native" sh "$work/combine.sh"
  rm -rf "$work/combine"
}
