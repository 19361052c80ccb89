#!/usr/bin/env bash
# Formatting and syntax of everything that is written by hand. Prints nothing where all is well.
set -euo pipefail
. "$(dirname "$0")/environment.sh"
cd "$repo_root"
swift format lint --strict --parallel --configuration .swift-format -r Sources Tests Package.swift
while IFS= read -r script; do bash -n "$script"; done < <(git ls-files --cached --others --exclude-standard '*.sh' .ci/run)
if command -v systemd-analyze >/dev/null; then scripts/check-unit.sh; fi
