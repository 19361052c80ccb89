#!/usr/bin/env bash
# Runs the tests as CI does: the module map enforced, the programs built, real servers. Arguments go to "swift test".
#
#   BUILD_OPTIONS   for building and testing alike, such as "--sanitize thread --scratch-path .build-tsan"
set -euo pipefail
. "$(dirname "$0")/environment.sh"
cd "$repo_root"
read -r -a options <<<"${BUILD_OPTIONS:-}"
swift build "${options[@]}" --build-tests --explicit-target-dependency-import-check error
: "${BACKUPD_BIN:=$(swift build "${options[@]}" --show-bin-path)}"
# Every test may hold a server of its own. Many wait for a clock, so twice as many as there are cores keep these busy; more only
# make each other late.
: "${SWT_EXPERIMENTAL_MAXIMUM_PARALLELIZATION_WIDTH:=$((2 * $(nproc)))}"
export BACKUPD_BIN SWT_EXPERIMENTAL_MAXIMUM_PARALLELIZATION_WIDTH
swift test "${options[@]}" --skip-build "$@"
