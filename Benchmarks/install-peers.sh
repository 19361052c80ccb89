#!/usr/bin/env bash
# Installs the tools that "make bench" compares with: pgBackRest and rsync by apt where we are root, Barman in a Python
# environment of its own below BACKUPD_TEST_CACHE. What cannot be had takes no part.
set -euo pipefail
. "$(dirname "$0")/../scripts/environment.sh"

install_packages() {
  local missing=() program
  for program in pgbackrest rsync; do
    command -v "$program" >/dev/null || missing+=("$program")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    say "Not installed, and only root can: ${missing[*]}"
    return 0
  fi
  say "Installing ${missing[*]}"
  DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}" >/dev/null ||
    say "Not to be had: ${missing[*]}"
}

install_barman() {
  local environment=$BACKUPD_TEST_CACHE/barman
  [ ! -x "$environment/bin/barman" ] || return 0
  say "Installing Barman in $environment"
  # The system's own Python: user postgres can reach it. psycopg2-binary, because psycopg2 wants a compiler.
  /usr/bin/python3 -m venv --clear "$environment"
  "$environment/bin/python3" -m pip install -q psycopg2-binary barman || {
    rm -rf "$environment"
    say "Not to be had: Barman"
  }
}

install_packages
install_barman
