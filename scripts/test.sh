#!/usr/bin/env bash
# Runs the tests as CI does: the module map enforced, the programs built, real servers. Arguments go to "swift test".
#
#   BUILD_OPTIONS   for building and testing alike, such as "--sanitize thread --scratch-path .build-tsan"
#   TEST_MINUTES    ends tests that take longer, and shows what was running (default 75)
set -euo pipefail
. "$(dirname "$0")/environment.sh"
cd "$repo_root"
read -r -a options <<<"${BUILD_OPTIONS:-}"
swift build "${options[@]}" --build-tests --explicit-target-dependency-import-check error
programs=$(swift build "${options[@]}" --show-bin-path)
: "${BACKUPD_BIN:=$programs}"
# Of one process: it has no more threads to run them on.
: "${SWT_EXPERIMENTAL_MAXIMUM_PARALLELIZATION_WIDTH:=$(nproc)}"
export BACKUPD_BIN SWT_EXPERIMENTAL_MAXIMUM_PARALLELIZATION_WIDTH

logs=$(mktemp -d)
# One that hangs would else be known by its silence alone.
watch_over() {
  trap 'kill $!; exit' TERM
  sleep "$((${TEST_MINUTES:-75} * 60))" &
  wait $!
  say "The tests still run after ${TEST_MINUTES:-75} minutes; they are ended"
  ps -eo pid,ppid,etime,args --forest | grep -v ' \[' | cut -c1-160
  pkill -P $$ '^swift-test$|^backupdPackage'
}
watch_over &
watch=$!
disown
cleanup() {
  kill "$watch" $(jobs -p) 2>/dev/null || true
  rm -rf "$logs"
}
trap cleanup EXIT

if [ $# -gt 0 ]; then
  swift test "${options[@]}" --skip-build "$@"
  exit
fi

# A test that blocks keeps a thread, and most wait for a clock or for programs of theirs. So there are several processes. Tests
# that await go first: they would wait for their turn among those.
bundle=$programs/backupdPackageTests.xctest
failed=0
# part NAME ARGUMENTS...: beside the others; what it said is shown by "show" at its end
part() { "$bundle" --testing-library swift-testing "${@:2}" >"$logs/$1" 2>&1 & }
show() { # NAME PID
  wait "$2" || failed=1
  say "--- $1"
  cat "$logs/$1"
}
awaiting=$(grep -lrE 'func .*async' Tests/*Tests | cut -d/ -f2 | sort -u | paste -sd'|')
part "Tests that await" --filter "^($awaiting)\\."
show "Tests that await" $!
names=() pids=()
begin() { # NAME ARGUMENTS...
  # Each has ports of its own.
  BACKUPD_TEST_PART=${#pids[@]} part "$@"
  names+=("$1")
  pids+=($!)
}
begin "End to end, A to L" --filter '^EndToEndTests\.[A-L]'
begin "End to end, M to Z" --filter '^EndToEndTests\.[M-Z]'
begin "The others" --skip "^($awaiting|EndToEndTests)\\."
for index in "${!pids[@]}"; do show "${names[$index]}" "${pids[$index]}"; done
if [ "$failed" != 0 ]; then
  # At the end, where whoever sees only the last lines finds it.
  say "--- What failed"
  grep -HE '^✘|rror: |^Fatal|↳' "$logs"/* | sed "s|^$logs/||" | cut -c1-600 | tail -n 100
fi
exit "$failed"
