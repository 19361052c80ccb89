#!/usr/bin/env bash
# Formatting and syntax of everything that is written by hand. Prints nothing where all is well.
set -euo pipefail
. "$(dirname "$0")/environment.sh"
cd "$repo_root"
swift format lint --strict --parallel --configuration .swift-format -r Sources Tests Package.swift
while IFS= read -r script; do bash -n "$script"; done < <(git ls-files --cached --others --exclude-standard '*.sh' .ci/run)
if command -v mandoc >/dev/null; then
  # Pages that are not installed here are not ours to check.
  if mandoc -T lint -W all docs/man/*.[1-8] 2>/dev/null | grep -v 'referenced manual not found' >&2; then exit 1; fi
fi
if command -v systemd-analyze >/dev/null; then scripts/check-unit.sh; fi
