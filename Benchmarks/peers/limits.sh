# shellcheck shell=bash
# What the machine does with the same bytes and nothing else.
side read "limit: reading the files" "full"
side tar1 "limit: tar, zstd -1 -T2; sync" "full"
side tar3 "limit: tar, zstd -3 -T2; sync" "full"
side untar "limit: zstd -d, tar -x; sync" "restore"

read_take() {
  measured "$1.read" bash -c "find $pg_data -path $pg_data/pg_wal -prune -o -type f -exec cat {} + >/dev/null"
}
# archive STEP.SIDE LEVEL FILE
archive() {
  measured "$1" bash -c "set -o pipefail
    { tar -C $pg_data --exclude=./pg_wal/* -cf - . || [ \$? = 1 ]; } | zstd -q -$2 -T2 -o $3 && sync"
  note_bytes "$1" "$(stat -c %s "$3")"
}
tar1_take() {
  fresh "$work/tar1"
  archive "$1.tar1" 1 "$work/tar1/1.tar.zst"
}
tar3_take() {
  fresh "$work/tar3"
  archive "$1.tar3" 3 "$work/tar3/1.tar.zst"
}
untar_take() { # only the backups that are restored
  case $1 in
  first) fresh "$work/untar" ;;
  *) [ "$2" = "$history" ] || return 0 ;;
  esac
  archive "$1.untar" 1 "$work/untar/$1.tar.zst"
}
untar_restore() {
  fresh "$work/restored"
  warm "$work/untar"
  measured "restore-$1.untar" bash -c \
    "set -o pipefail; zstd -qdc $work/untar/$1.tar.zst | tar -C $work/restored -xf - && sync"
}
