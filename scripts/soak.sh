#!/usr/bin/env bash
# The long tests at full size: random restores of a cluster of 2 GB on PostgreSQL 15 and 18, 30 kills of the daemon.
#
#   soak.sh [swift test arguments]      SOAK_SEED=N repeats the random choices of an earlier run
set -euo pipefail
. "$(dirname "$0")/environment.sh"
cd "$repo_root"
swift build -c release --static-swift-stdlib
BACKUPD_BIN=$(swift build -c release --static-swift-stdlib --show-bin-path)
export BACKUPD_BIN BACKUPD_SOAK=1 BACKUPD_SOAK_SEED=${SOAK_SEED:-$RANDOM}
say "seed $BACKUPD_SOAK_SEED"
scripts/test.sh --filter Soak "$@"
