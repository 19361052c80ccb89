#!/usr/bin/env bash
# The parsers of what comes from disks, networks and sockets under libFuzzer, one after another.
#
#   fuzz.sh [TARGET…]        all of them, or those that are named
#   FUZZ_SECONDS=N           for each; 20 by default
#
# What makes one trap, or takes it longer than ten seconds, is kept in .build-fuzz/finds, and ends the script with 1.
# Inputs that reach new code stay in .build-fuzz/corpus for the next time.
set -euo pipefail
. "$(dirname "$0")/environment.sh"
cd "$repo_root"
export BACKUPD_FUZZ=1
swift build --sanitize fuzzer --scratch-path .build-fuzz --product fuzz
fuzz=$(swift build --sanitize fuzzer --scratch-path .build-fuzz --show-bin-path)/fuzz
# The backtracer can hang for ever, and holds the pipe then.
export SWIFT_BACKTRACE=enable=no
corpus=$repo_root/.build-fuzz/corpus finds=$repo_root/.build-fuzz/finds
mkdir -p "$corpus" "$finds"
mapfile -t all < <(BACKUPD_FUZZ_SEEDS=$corpus "$fuzz")
[ ${#all[@]} -gt 0 ] || fail "\"$fuzz\" names no targets"
[ $# -gt 0 ] || set -- "${all[@]}"
failed=()
for target in "$@"; do
  if BACKUPD_FUZZ_TARGET=$target "$fuzz" "$corpus/$target" -max_total_time="${FUZZ_SECONDS:-20}" -timeout=10 \
    -rss_limit_mb=1024 -max_len=16384 -artifact_prefix="$finds/$target-" -print_final_stats=1 >"$finds/$target.log" 2>&1; then
    said=$(grep -E "number_of_executed_units|Done" "$finds/$target.log" | head -1)
    coverage=$(grep -oE "cov: [0-9]+" "$finds/$target.log" | tail -1)
    say "$target: $said, $coverage"
  else
    tail -25 "$finds/$target.log"
    failed+=("$target")
  fi
done
[ ${#failed[@]} = 0 ] || fail "these did not stand it: ${failed[*]}" "See $finds."
