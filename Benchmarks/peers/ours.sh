# shellcheck shell=bash
# backupd through its daemon, with our defaults and with zstd level 3.
side ours "backupd" "full second unchanged restore"
side ours3 "backupd, zstd level 3" "full"

ours_ctl() { BACKUPD_CONFIG=$work/$1.yaml "${as_postgres[@]}" "$work/bin/backupctl" "${@:2}"; }
ours_create() { # SIDE LEVEL
  fresh "$work/$1"
  drop_slot "backupd_$1"
  cat >"$work/$1.yaml" <<YAML
daemon: {state-directory: $work/$1/state, socket: $work/$1/control.sock, workers: 2}
clusters:
  bench: {connection: host=$pg_socket user=postgres dbname=postgres, data-directory: $pg_data}
repository:
  encryption: {key-file: $work/$1/repository.key}
  stores:
    local: {path: $work/$1/repository}
jobs:
  wal:  {kind: wal, cluster: bench, slot: backupd_$1}
  take: {kind: physical, cluster: bench, compression: $2}
YAML
  ours_ctl "$1" repository create >/dev/null
}

# Whether all WAL there is has been received, and the complete segments are in the store: a daemon that has just been
# started would otherwise do during the measured time what it does all day.
ours_settled() {
  ours_ctl "$1" wal status --json 2>/dev/null | /usr/bin/python3 -c '
import json, sys
def position(text):
    high, low = (text or "0/0").split("/")
    return int(high, 16) << 32 | int(low, 16)
clusters = json.load(sys.stdin)
done = [c["queuedSegments"] == 0 and position(c["flushedLSN"]) >= position(sys.argv[1]) for c in clusters]
sys.exit(0 if done and all(done) else 1)' "$2" 2>/dev/null
}
ours_start() {
  BACKUPD_CONFIG=$work/$1.yaml "${as_postgres[@]}" "$work/bin/backupd" >"$work/backupd.log" 2>&1 &
  helper=$!
  wait_for "backupd receiving WAL" ours_settled "$1" "$(pg_sql -c 'select pg_current_wal_flush_lsn()')"
}
# Without WAL, which not all others keep here.
ours_bytes() {
  find "$work/$1/repository" -type f -not -path '*/wal/*' -printf '%s\n' | awk '{ sum += $1 } END { printf "%d", sum }'
}
# ours_backup SIDE STEP
ours_backup() {
  local before
  before=$(ours_bytes "$1")
  ours_start "$1"
  measured "$2.$1" "$work/bin/backupctl" run take --config "$work/$1.yaml"
  ours_ctl "$1" runs take --json >"$work/results/$2.$1.runs"
  end_helper
  rm "$work/backupd.log"
  note_bytes "$2.$1" $(($(ours_bytes "$1") - before))
}
ours_id() { # first or last
  ours_ctl ours backups --json | /usr/bin/python3 -c '
import json, sys
print(json.load(sys.stdin)[{"first": 0, "later": -1}[sys.argv[1]]]["id"])' "$1"
}
# The figures of the newest backup: pages read, pages changed, source.
ours_facts() {
  ours_ctl ours show "$(ours_id later)" --json | /usr/bin/python3 -c '
import json, sys
backup = json.load(sys.stdin)
print(backup["pagesRead"], backup["pagesChanged"], backup["source"])' >>"$work/results/$1.ours.facts"
}

ours_take() {
  [ "$1" != full ] && [ "$1" != first ] || ours_create ours 1
  ours_backup ours "$1"
  ours_facts "$1"
}
ours3_take() {
  ours_create ours3 3
  ours_backup ours3 "$1"
}
ours_restore() { # first or later
  local backup
  backup=$(ours_id "$1")
  warm "$work/ours/repository"
  measured "restore-$1.ours" "$work/bin/backupctl" restore "$work/restored" --cluster bench --backup "$backup" \
    --target-immediate --config "$work/ours.yaml"
}
ours_check() { "${as_postgres[@]}" "$pg_bin/pg_verifybackup" -q -n "$work/restored"; }
