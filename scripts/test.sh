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
: "${BACKUPD_BIN:=$(swift build "${options[@]}" --show-bin-path)}"
export BACKUPD_BIN

# Shows what the tests have started, then ends them: one that hangs would else be known by its silence alone.
watch_over() {
  trap 'kill $!; exit' TERM
  sleep "$((${TEST_MINUTES:-75} * 60))" &
  wait $!
  say "The tests still run after ${TEST_MINUTES:-75} minutes; they are ended"
  ps -eo pid,ppid,etime,args --forest | grep -v ' \[' | cut -c1-160
  local tests
  tests=$(pgrep -P $$ swift-test)
  pkill -P "$tests"
  kill "$tests"
}
watch_over &
watch=$!
disown
trap 'kill "$watch" 2>/dev/null || true' EXIT

# run WIDTH ARGUMENTS...: so many tests at once; each may hold servers of its own
run() {
  SWT_EXPERIMENTAL_MAXIMUM_PARALLELIZATION_WIDTH=${SWT_EXPERIMENTAL_MAXIMUM_PARALLELIZATION_WIDTH:-$1} \
    swift test "${options[@]}" --skip-build "${@:2}"
}

cores=$(nproc)
if [ $# -gt 0 ]; then
  run $((2 * cores)) "$@"
else
  # Tests that await share their few threads with those that block on them, and would wait for their turn again and again.
  awaiting=$(grep -lrE 'func .*async' Tests/*Tests | cut -d/ -f2 | sort -u | paste -sd'|')
  failed=0
  run "$cores" --filter "^($awaiting)\\." || failed=$?
  # Most of the others wait for a clock or for programs of theirs.
  run $((3 * cores)) --skip "^($awaiting)\\." || failed=$?
  exit "$failed"
fi
