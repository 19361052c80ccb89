#!/usr/bin/env bash
# Installs the tools that "make bench" compares with, where Debian has them and we are root. What is missing takes no part.
set -euo pipefail
. "$(dirname "$0")/../scripts/environment.sh"
command -v pgbackrest >/dev/null && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  say "Installing pgbackrest"
  DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends pgbackrest >/dev/null || say "pgbackrest is not to be had"
else
  say "pgbackrest is not installed: it takes no part"
fi
