#!/usr/bin/env bash
# What the service does under a real systemd: installs it as "make install" does, then starts, reloads, kills and stops
# it. Writes to the whole system: runs inside scripts/with-systemd.sh only.
#
#   systemd-scenario.sh BINARIES        BINARIES: the directory of the built programs
set -euo pipefail
. "$(dirname "$0")/environment.sh"
binaries=$1
[ "${WITH_SYSTEMD:-}" = 1 ] || fail "not inside with-systemd.sh" "scripts/with-systemd.sh -- $0 BINARIES"

prop() { systemctl show -P "$1" backupd; }
expect() { # WHAT WANTED FOUND
  [ "$2" = "$3" ] || fail "$1: expected \"$2\", found \"$3\"" "$(journalctl -u backupd -n 40 --no-pager)"
  say "ok $1"
}
until_equal() { # WHAT WANTED COMMAND...
  local what=$1 wanted=$2 deadline=$((SECONDS + 30))
  shift 2
  until [ "$("$@" 2>/dev/null)" = "$wanted" ]; do
    [ $SECONDS -lt $deadline ] || expect "$what" "$wanted" "$("$@" 2>&1)"
    sleep 0.05
  done
  say "ok $what"
}
status_of() { local status=0; "$@" >/dev/null 2>&1 || status=$?; echo "$status"; }
as() { local user=$1; shift; runuser -u "$user" -- "$@"; }
journal_has() { # FIELD=VALUE... : whether our service wrote such an entry
  journalctl --sync
  journalctl -u backupd -o json "$@" | grep -c . || true
}

"$repo_root/scripts/install.sh" "" /usr "$binaries"
install -d -o postgres -g postgres /var/run/postgresql /srv/cluster
postgres=$BACKUPD_TEST_PG/15/bin
[ -x "$postgres/initdb" ] || postgres=/usr/lib/postgresql/15/bin
as postgres "$postgres/initdb" -D /srv/cluster -k -U postgres -A trust --no-sync >/dev/null
as postgres "$postgres/pg_ctl" start -w -D /srv/cluster -l /srv/cluster/log \
  -o "-c fsync=off -c listen_addresses= -k /var/run/postgresql" >/dev/null
useradd --system --groups backupd operator-of-backups

# A wrong configuration is not tried again and again.
echo "jobs: nonsense" >/etc/backupd/backupd.yaml
expect "start with a wrong configuration fails" 1 "$(status_of systemctl start backupd)"
expect "exit status of a wrong configuration" 2 "$(prop ExecMainStatus)"
expect "a wrong configuration is not restarted" 0 "$(prop NRestarts)"
systemctl reset-failed backupd

cp /etc/backupd/backupd.yaml.example /etc/backupd/backupd.yaml
as postgres backupctl repository create >/dev/null
mkdir -p /etc/systemd/system/backupd.service.d
printf '[Service]\nRestartSec=100ms\n' >/etc/systemd/system/backupd.service.d/soon.conf
systemctl daemon-reload
systemctl start backupd # returns once READY was told
expect "state after the start" active/running "$(prop ActiveState)/$(prop SubState)"
expect "user" postgres "$(ps -o user= -p "$(prop MainPID)" | tr -d ' ')"
case $(prop StatusText) in "1 cluster, 3 jobs"*) say "ok status text: $(prop StatusText)" ;; *) expect "status text" "1 cluster, 3 jobs…" "$(prop StatusText)" ;; esac

# Members of the admin group may act, others may not even ask.
run=$(as operator-of-backups backupctl run hourly --json | sed -n "s/^ *\"run\"[ :]*\"\(.*\)\".*/\1/p")
[ -n "$run" ] || fail "no run" "$(journalctl -u backupd -n 40 --no-pager)"
expect "a user without rights" 1 "$(status_of as nobody backupctl run hourly)"
expect "a backup is listed" 1 "$(as postgres backupctl backups --json | grep -c '"id"')"

# The journal has our fields.
expect "journal: the run begins and ends" 2 \
  "$(journal_has BACKUPD_RUN="$run" BACKUPD_JOB=hourly BACKUPD_CLUSTER=main PRIORITY=6)"
[ "$(journal_has BACKUPD_CLUSTER=main BACKUPD_JOB=wal)" -gt 0 ] || fail "nothing in the journal about job wal"
expect "journal: nothing but our own words" 0 "$(journal_has _TRANSPORT=syslog)"

# Reload: systemctl reports what is wrong, and the old configuration stays.
expect "reload" 0 "$(status_of systemctl reload backupd)"
sed -i 's/kind: wal/kindd: wal/' /etc/backupd/backupd.yaml
expect "reload of a wrong file" 1 "$(status_of systemctl reload backupd)"
journalctl --sync
expect "journalctl -x explains it" 1 "$(journalctl -u backupd -x --no-pager | grep -c 'The new configuration file is wrong')"
expect "state after it" active/running "$(prop ActiveState)/$(prop SubState)"
expect "status after it" 3 "$(status_of as postgres backupctl status)"
cp /etc/backupd/backupd.yaml.example /etc/backupd/backupd.yaml
sed -i 's/"0 \* \* \* \*"/"30 * * * *"/' /etc/backupd/backupd.yaml
expect "reload of the right file" 0 "$(status_of systemctl reload backupd)"
expect "status after that" 0 "$(status_of as postgres backupctl status)"
expect "the schedule in force" 1 "$(as postgres backupctl jobs --json | grep -c '"30 \* \* \* \*"')"

# Killed: systemd brings it back.
systemctl kill -s KILL backupd
until_equal "restarted after SIGKILL" 1 prop NRestarts
until_equal "active again" active prop ActiveState
until_equal "answers again" 0 status_of as postgres backupctl status

# A password that only root can read reaches the daemon as a credential; the files are read in place, inside the sandbox.
as postgres "$postgres/psql" -qX -d postgres -h /var/run/postgresql \
  -c "create role keeper superuser replication login password 'only-root-knows'"
sed -i '1i local all,replication keeper scram-sha-256' /srv/cluster/pg_hba.conf
as postgres "$postgres/pg_ctl" reload -D /srv/cluster >/dev/null
install -m 600 /dev/stdin /etc/backupd/keeper-password <<<only-root-knows
settings='data-directory: /srv/cluster\n    password: {credential: keeper-password}'
sed -i "s,user=postgres dbname=postgres,user=keeper dbname=postgres\n    $settings," /etc/backupd/backupd.yaml
expect "a credential that was not loaded is refused" 1 "$(status_of systemctl reload backupd)"
journalctl --sync
expect "and named" 1 "$(journalctl -u backupd --no-pager | grep -m 1 -c 'credential "keeper-password"')"
expect "the old configuration stays" 0 "$(status_of as postgres backupctl run hourly)"
printf '[Service]\nLoadCredential=keeper-password:/etc/backupd/keeper-password\n' \
  >/etc/systemd/system/backupd.service.d/credential.conf
systemctl daemon-reload
systemctl restart backupd
until_equal "WAL comes with the credential" 1 \
  sh -c 'runuser -u postgres -- backupctl wal status --json | grep -c "\"streaming\""'
backup=$(as postgres backupctl run hourly --json 2>/dev/null | sed -n 's/^ *"backup"[ :]*"\(.*\)".*/\1/p')
[ -n "$backup" ] || fail "no backup with the credential" "$(journalctl -u backupd -n 40 --no-pager)"
expect "read in place" 1 "$(as postgres backupctl show "$backup" --json | grep -c '"source"[ :]*"direct"')"
expect "the password is nowhere in the journal" 0 "$(journalctl -u backupd --no-pager -o json | grep -c only-root-knows || true)"

# A drill inside the sandbox: PostgreSQL boots on the backup there, kept to its directory, and nothing of it is left.
echo "  proof: {kind: drill, cluster: main, programs: $postgres}" >>/etc/backupd/backupd.yaml
expect "reload with a drill" 0 "$(status_of systemctl reload backupd)"
as postgres backupctl drill proof >/tmp/drill.txt 2>&1 || fail "the drill failed" "$(cat /tmp/drill.txt)"
expect "pg_amcheck and page checksums are well" 2 "$(grep -c '^  check   ok ' /tmp/drill.txt)"
expect "no warning" 0 "$(grep -c WARNING /tmp/drill.txt || true)"
expect "nothing is left of it" "" "$(ls /var/lib/backupd/drills)"

# Alerts get out of the sandbox, and the address of a webhook comes encrypted from the service manager.
install -d -m 0700 /etc/credstore.encrypted
echo http://127.0.0.1:1/only-slack-knows >/run/address
systemd-creds encrypt --with-key=host --name=slack-webhook /run/address /etc/credstore.encrypted/slack-webhook
printf '[Service]\nLoadCredentialEncrypted=slack-webhook:/etc/credstore.encrypted/slack-webhook\n' \
  >/etc/systemd/system/backupd.service.d/slack.conf
cat >>/etc/backupd/backupd.yaml <<'YAML'
alerts:
  script: {command: [/bin/sh, -c, "cat > /var/lib/backupd/alert.json"]}
  slack: {webhook: {credential: slack-webhook}}
YAML
systemctl daemon-reload
systemctl restart backupd
expect "a command takes an alert" 0 "$(status_of as postgres backupctl alerts test script)"
expect "all of it" 1 "$(grep -c '"isTest":true.*"version":1}$' /var/lib/backupd/alert.json)"
expect "a webhook that nobody answers at" 1 "$(status_of as postgres backupctl alerts test slack)"
expect "its address was read" 1 "$(as postgres backupctl alerts test slack --json | grep -c 'could not talk to .*127.0.0.1:1')"
expect "the address is nowhere in the journal" 0 "$(journalctl -u backupd --no-pager -o json | grep -c only-slack-knows || true)"

# Alive and wedged: the scheduler records a run's end in a file that never opens, and is killed by the watchdog.
printf '[Service]\nWatchdogSec=6\nRestart=no\n' >/etc/systemd/system/backupd.service.d/watched.conf
systemctl daemon-reload
systemctl restart backupd
history=/var/lib/backupd/runs/$(date -u +%Y-%m).jsonl
mv "$history" "$history.aside"
mkfifo -m 600 "$history"
chown postgres: "$history"
as postgres backupctl run hourly --no-wait >/dev/null
until_equal "killed by the watchdog" watchdog prop Result
mv "$history.aside" "$history"
rm /etc/systemd/system/backupd.service.d/watched.conf
systemctl daemon-reload
systemctl reset-failed backupd
systemctl start backupd
expect "state after the watchdog" active/running "$(prop ActiveState)/$(prop SubState)"
expect "the run that was wedged is recorded as interrupted" 1 \
  "$(as postgres backupctl runs hourly --json | grep -c '"outcome".*"interrupted"')"

began=$SECONDS
systemctl stop backupd
[ $((SECONDS - began)) -le 10 ] || fail "stopping took $((SECONDS - began)) s"
expect "state after the stop" inactive/dead "$(prop ActiveState)/$(prop SubState)"
expect "result of the stop" success "$(prop Result)"
expect "backupctl after the stop" 1 "$(status_of as postgres backupctl status)"
as postgres "$postgres/pg_ctl" stop -D /srv/cluster -m immediate >/dev/null
