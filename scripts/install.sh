#!/usr/bin/env bash
# Puts the programs, the unit, completions and pages where Debian's packages put them.
#
#   install.sh DESTDIR PREFIX BINARIES
set -euo pipefail
. "$(dirname "$0")/environment.sh"
destination=$1 prefix=$2 binaries=$3
cd "$repo_root"
[ -x "$binaries/backupd" ] || fail "the programs are not built" "make release"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# put MODE FILE PLACE
put() { install -D -m "$1" "$2" "$destination$3"; }
# put_compressed FILE PLACE: the same bytes give the same archive.
put_compressed() {
  gzip -n9 <"$1" >"$work/compressed"
  put 644 "$work/compressed" "$2.gz"
}
# put_here FILE PLACE: with the programs' directory as it is here.
put_here() {
  sed "s,/usr/bin/,$prefix/bin/,; s,/usr/share/,$prefix/share/," "$1" >"$work/here"
  put 644 "$work/here" "$2"
}

for program in backupd backupctl backupd-wal; do
  install -D -m 755 --strip "$binaries/$program" "$destination$prefix/bin/$program"
done

# Below the prefix and not in /lib: there it is a symbolic link, which unpacking an archive of DESTDIR would replace.
put_here systemd/backupd.service "$prefix/lib/systemd/system/backupd.service"
put 644 systemd/backupd.sysusers "$prefix/lib/sysusers.d/backupd.conf"
put 644 systemd/backupd.tmpfiles "$prefix/lib/tmpfiles.d/backupd.conf"
catalog=systemd/backupd.catalog
if [ -f "$catalog" ]; then put 644 "$catalog" "$prefix/lib/systemd/catalog/backupd.catalog"; fi

completion() {
  "$binaries/backupctl" --generate-completion-script "$1" >"$work/completion"
  put 644 "$work/completion" "$2"
}
completion bash "$prefix/share/bash-completion/completions/backupctl"
completion zsh "$prefix/share/zsh/vendor-completions/_backupctl"
completion fish "$prefix/share/fish/vendor_completions.d/backupctl.fish"

for page in docs/man/*.[1-8]; do put_compressed "$page" "$prefix/share/man/man${page##*.}/$(basename "$page")"; done

put 644 etc/backupd.yaml.example /etc/backupd/backupd.yaml.example
documents=$prefix/share/doc/backupd
put 644 etc/backupd.yaml.example "$documents/examples/backupd.yaml"
put 644 etc/backupd-cloud.yaml.example "$documents/examples/backupd-cloud.yaml"
for file in etc/aws-policies/*.json; do put 644 "$file" "$documents/examples/aws-policies/${file##*/}"; done
put 644 etc/checks.sql "$documents/examples/checks.sql"
for file in etc/prometheus/*.yml; do put 644 "$file" "$documents/examples/prometheus/${file##*/}"; done
for page in README.md LICENSE; do put 644 "$page" "$documents/$page"; done
put_compressed CHANGELOG.md "$documents/changelog"
while IFS= read -r page; do put 644 "$page" "$documents/$page"; done < <(find docs -name '*.md')

[ -z "$destination" ] || exit 0
if [ -d /run/systemd/system ]; then
  systemd-sysusers "$prefix/lib/sysusers.d/backupd.conf"
  systemd-tmpfiles --create "$prefix/lib/tmpfiles.d/backupd.conf"
  if [ -f "$catalog" ]; then journalctl --update-catalog; fi
  systemctl daemon-reload
fi
