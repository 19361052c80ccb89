#!/usr/bin/env bash
# Backups to an S3 gateway and restores from it, ours against pgBackRest and against moving the same objects by rclone.
#
#   s3.sh [--size UNITS] [--rounds N] [--postgres MAJOR]
#
# A unit is about 15 MB, as in bench.sh. The gateway is Ceph's on loopback, storing in memory and speaking TLS to all alike.
# A round: a first backup by each side into an empty bucket, then the same objects as ours by rclone; then each restores, and
# rclone brings the same objects back. The order turns with each round. Prints tables of medians and puts them between the
# markers of docs/performance.md.
#
#   BACKUPD_BIN    directory of the programs (default .build/release)
#   BENCH_DIR      where everything is written (default TMPDIR or /tmp): a disk with room for five times the cluster
set -euo pipefail
. "$(dirname "$0")/../scripts/environment.sh"
size=140 rounds=3 major=15
. "$repo_root/Benchmarks/options.sh"
read_options "size rounds postgres=major" "$@"
[ "$rounds" -ge 3 ] || fail "a median needs at least three rounds"
for program in radosgw ceph-mon openssl; do
  command -v "$program" >/dev/null || fail "\"$program\" is missing" "make setup"
done
. "$repo_root/Benchmarks/workspace.sh"
. "$repo_root/Benchmarks/gateway.sh"
cleanup_all() {
  local status=$?
  gateway_stop
  (exit "$status") # for cleanup to see
  cleanup
}
trap cleanup_all EXIT

say "Filling PostgreSQL $major: $size units"
pg_create shared_buffers=256MB max_wal_size=8GB checkpoint_timeout=1h autovacuum=off
pg_start
"$pg_bin/pgbench" -i -q -I dtGp -s $((size / 12 + 1)) -F 90 -h "$pg_socket" -U postgres postgres >"$work/output.log" 2>&1 ||
  fail "pgbench did not succeed" "$(tail -1 "$work/output.log")"
pg_sql -f "$repo_root/scripts/oauth/schema.sql"
pg_sql -v rows=$((size * 13000)) -f "$repo_root/Benchmarks/seed.sql"
cluster_bytes=$(directory_bytes "$pg_data/base")
say "Starting the gateway"
gateway_start

# --- ours: the daemon of bench.sh, with its store in a bucket
side() { :; }
. "$repo_root/Benchmarks/peers/ours.sh"
objects=(--include '/clusters/*/*/packs/**' --include '/clusters/*/*/metadata/**' --include '/clusters/*/*/backups/**')
ours_create() {
  fresh "$work/ours"
  drop_slot backupd_ours
  gateway_bucket ours
  printf '%s' "$gateway_key" | "${as_postgres[@]}" tee "$work/ours/access-key" >/dev/null
  printf '%s' "$gateway_secret" | "${as_postgres[@]}" tee "$work/ours/secret-key" >/dev/null
  cat >"$work/ours.yaml" <<YAML
daemon: {state-directory: $work/ours/state, socket: $work/ours/control.sock, workers: 2}
clusters:
  bench: {connection: host=$pg_socket user=postgres dbname=postgres, data-directory: $pg_data}
repository:
  encryption: {key-file: $work/ours/repository.key}
  stores:
    cloud:
      s3:
        bucket: ours
        region: default
        endpoint: $gateway_endpoint
        ca-file: $gateway_certificate
        credentials: {access-key: {file: $work/ours/access-key}, secret-key: {file: $work/ours/secret-key}}
jobs:
  wal:  {kind: wal, cluster: bench, slot: backupd_ours}
  take: {kind: physical, cluster: bench}
YAML
  "${as_postgres[@]}" chmod 600 "$work/ours/access-key" "$work/ours/secret-key"
  ours_ctl ours repository create >/dev/null
}
ours_backup_s3() {
  ours_create
  ours_start ours
  measured backup.ours "$work/bin/backupctl" run take --config "$work/ours.yaml"
  ours_ctl ours runs take --json >"$work/results/backup.ours.runs"
  ours_facts backup
  end_helper
  note_bytes backup.ours "$(gateway_bytes ours "${objects[@]}")"
}
ours_restore_s3() {
  measured restore.ours "$work/bin/backupctl" restore "$work/restored" --cluster bench --target-immediate \
    --config "$work/ours.yaml"
  "${as_postgres[@]}" "$pg_bin/pg_verifybackup" -q -n "$work/restored"
}

# --- pgBackRest
pgbackrest_create() {
  fresh "$work/pgbackrest"
  gateway_bucket pgbackrest
  cat >"$work/pgbackrest.conf" <<CONF
[global]
repo1-type=s3
repo1-path=/
repo1-s3-bucket=pgbackrest
repo1-s3-endpoint=$gateway_host
repo1-storage-port=$gateway_port
repo1-storage-ca-file=$gateway_certificate
repo1-s3-uri-style=path
repo1-s3-region=default
repo1-s3-key=$gateway_key
repo1-s3-key-secret=$gateway_secret
repo1-bundle=y
compress-type=zst
compress-level=$1
process-max=2
start-fast=y
archive-check=n
archive-copy=n
log-level-file=off
log-level-console=warn
lock-path=$work/pgbackrest/lock
spool-path=$work/pgbackrest/spool
[bench]
pg1-path=$pg_data
pg1-socket-path=$pg_socket
pg1-user=postgres
CONF
  "${as_postgres[@]}" pgbackrest --config="$work/pgbackrest.conf" --stanza=bench stanza-create
}
pgbackrest_backup_s3() {
  pgbackrest_create 3
  measured backup.pgbackrest pgbackrest --config="$work/pgbackrest.conf" --stanza=bench backup --type=full
  note_bytes backup.pgbackrest "$(gateway_bytes pgbackrest)"
}
pgbackrest_restore_s3() {
  fresh "$work/restored"
  measured restore.pgbackrest pgbackrest --config="$work/pgbackrest.conf" --stanza=bench restore --type=immediate \
    "--pg1-path=$work/restored"
}

# --- rclone: the objects that ours has made
rclone_backup_s3() {
  gateway_bucket rclone
  fresh "$work/objects"
  gateway_rclone copy gateway:ours "$work/objects" "${objects[@]}"
  chmod -R a+rX "$work/objects"
  warm "$work/objects"
  measured backup.rclone "${rclone[@]}" copy "$work/objects" gateway:rclone --s3-no-check-bucket
  rm -rf "$work/objects"
  note_bytes backup.rclone "$(gateway_bytes rclone)"
}
rclone_restore_s3() {
  fresh "$work/restored"
  measured restore.rclone "${rclone[@]}" copy gateway:rclone "$work/restored"
}

# Ours comes before rclone, whose objects are ours.
for round in $(seq "$rounds"); do
  order=(ours pgbackrest)
  [ $((round % 2)) = 1 ] || order=(pgbackrest ours)
  for name in "${order[@]}" rclone; do
    warm "$pg_data/base"
    "${name}_backup_s3"
  done
  for name in "${order[@]}" rclone; do
    rm -rf "$work/restored"
    "${name}_restore_s3"
    rm -rf "$work/restored"
  done
  say "Round $round of $rounds is done$(ours_last backup restore)"
done

for step in backup restore; do
  for file in "$work/results/$step".*; do mv "$file" "$work/results/s3-$(basename "$file")"; done
done
{
  printf 'ours\tbackupd\n'
  printf 'pgbackrest\t%s, zstd level 3\n' "$(pgbackrest version)"
  printf 'rclone\trclone %s, the same objects\n' "$("$BACKUPD_TEST_SERVERS/bin/rclone" version | sed -n 's/^rclone v//p')"
} >"$work/results/titles"
mebibytes=$(awk -v b="$cluster_bytes" 'BEGIN { printf "%.0f MiB", b / 1048576 }')
put_tables s3 s3-backup "Backup of $mebibytes to the gateway:" s3-restore "Restore from it:"
