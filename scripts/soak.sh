#!/usr/bin/env bash
# The long tests at full size: random restores of a cluster of 2 GB on PostgreSQL 15 and 18, 30 kills of the daemon, 200
# backups of random changes, 200,000 relation files, and so on.
#
#   soak.sh [swift test arguments]      such as "--filter CompactionSoak" for one of them
#   SOAK_MINUTES=N                      ends the campaigns of faults after so long on each server
#   SOAK_SEED=N                         repeats the random choices of an earlier run
set -euo pipefail
. "$(dirname "$0")/environment.sh"
cd "$repo_root"
swift build -c release --static-swift-stdlib
BACKUPD_BIN=$(swift build -c release --static-swift-stdlib --show-bin-path)
export BACKUPD_BIN TEST_MINUTES=${TEST_MINUTES:-1000} BACKUPD_SOAK=1 BACKUPD_SOAK_SEED=${SOAK_SEED:-$RANDOM} BACKUPD_SOAK_MINUTES=${SOAK_MINUTES:-}
say "seed $BACKUPD_SOAK_SEED"
[ $# -gt 0 ] || set -- --filter Soak
scripts/test.sh "$@"
