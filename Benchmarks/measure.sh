# shellcheck shell=bash
# How a side's work is measured and its bytes are counted; sourced by bench.sh.

# measured STEP.SIDE COMMAND ...   appends wall, CPU and memory to the results; $helper is a process that works for it
measured() {
  local name=$1
  shift
  # What the side before wrote and removed is the disk's work no longer.
  sync
  sleep 1
  "${as_postgres[@]}" /usr/bin/python3 "$work/bin/measure.py" "$work/results/$name.times" \
    "$(head -1 "$pg_data/postmaster.pid")" "${helper:-0}" "$@" >/dev/null 2>"$work/output.log" || {
    cat "$work/output.log" >&2
    fail "$name did not succeed"
  }
}
# note_bytes STEP.SIDE BYTES
note_bytes() { echo "$2" >>"$work/results/$1.bytes"; }
directory_bytes() { du -sb "$1" | cut -f1; }
# An empty directory of user postgres, which only it can enter.
fresh() {
  rm -rf "$1"
  "${as_postgres[@]}" mkdir -m 700 "$1"
}
# Into the page cache, for every side alike.
warm() { find "$1" -type f -exec cat {} + >/dev/null; }

# end_helper [COMMAND ...]   ends the side's helper, by a command of its own or by a signal
end_helper() {
  [ -n "$helper" ] || return 0
  if [ $# -gt 0 ]; then "$@"; else kill "$helper" 2>/dev/null || true; fi
  wait "$helper" 2>/dev/null || true
  helper=''
}
# wait_for WHAT COMMAND ...   half a minute at most
wait_for() {
  local what=$1 polls=0
  shift
  until "$@"; do
    polls=$((polls + 1))
    [ $polls -lt 300 ] || fail "$what: not within half a minute"
    [ -z "$helper" ] || kill -0 "$helper" 2>/dev/null || fail "$what: its process has ended"
    sleep 0.1
  done
}
drop_slot() {
  echo "select pg_drop_replication_slot(slot_name) from pg_replication_slots where slot_name = '$1'" | pg_sql >/dev/null
}
