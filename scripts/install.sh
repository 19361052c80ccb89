#!/usr/bin/env bash
# Puts the programs, the unit and the pages where packages put them.
#
#   install.sh DESTDIR PREFIX BINARIES
set -euo pipefail
. "$(dirname "$0")/environment.sh"
destination=$1 prefix=$2 binaries=$3
cd "$repo_root"
[ -x "$binaries/backupd" ] || fail "the programs are not built" "make release"
put() { install -D -m "$1" "$2" "$destination$3"; }
for program in backupd backupctl backupd-wal; do
  install -D -m 755 --strip "$binaries/$program" "$destination$prefix/bin/$program"
done
put 644 systemd/backupd.service /lib/systemd/system/backupd.service
put 644 systemd/backupd.sysusers "$prefix/lib/sysusers.d/backupd.conf"
put 644 systemd/backupd.tmpfiles "$prefix/lib/tmpfiles.d/backupd.conf"
put 644 etc/backupd.yaml.example /etc/backupd/backupd.yaml.example
documents=$prefix/share/doc/backupd
for page in README.md CHANGELOG.md LICENSE; do put 644 "$page" "$documents/$page"; done
while IFS= read -r page; do put 644 "$page" "$documents/$page"; done < <(find docs -name '*.md')
[ -z "$destination" ] || exit 0
if [ -d /run/systemd/system ]; then
  systemd-sysusers "$prefix/lib/sysusers.d/backupd.conf"
  systemd-tmpfiles --create "$prefix/lib/tmpfiles.d/backupd.conf"
  systemctl daemon-reload
fi
