#!/usr/bin/env bash
# What a later dump of a table takes, by how wide its rows are.
#
#   logical-widths.sh [--widths N,N,...] [--mebibytes N] [--dumps N] [--postgres MAJOR]
#
# For each width a table of N MiB of rows of so many bytes in a dump, fillfactor 90, of which 0.5 % change at random between
# dumps: 32 bytes of each. Stored bytes of a later dump are compared with those of "pg_dump -Fc -Z0 | zstd -1". Bytes do not
# depend on what else the machine does. The result goes between the markers of docs/performance.md.
#
#   BACKUPD_BIN    directory of the programs (default .build/release)
#   BENCH_DIR      where everything is written (default TMPDIR or /tmp)
set -euo pipefail
. "$(dirname "$0")/../scripts/environment.sh"
widths=100,300,1000 mebibytes=64 dumps=12 major=15
. "$repo_root/Benchmarks/options.sh"
read_options "widths mebibytes dumps postgres=major" "$@"
[ "$dumps" -ge 1 ] || fail "there is nothing to compare without a later dump"
IFS=, read -r -a each <<<"$widths"
for width in "${each[@]}"; do
  [[ $width =~ ^[0-9]+$ ]] && [ "$width" -ge 60 ] || fail "a row cannot be $width bytes wide" "60 is the least"
done
. "$repo_root/Benchmarks/workspace.sh"
pg_create shared_buffers=256MB max_wal_size=8GB checkpoint_timeout=1h
pg_start
fresh "$work/ours"
{
  cat <<YAML
daemon: {state-directory: $work/ours/state, socket: $work/ours/control.sock, workers: 2}
clusters:
  bench: {connection: host=$pg_socket user=postgres dbname=postgres, programs: $pg_bin}
repository:
  encryption: {key-file: $work/ours/repository.key}
  stores:
    local: {path: $work/ours/repository}
jobs:
YAML
  for width in "${each[@]}"; do
    echo "  width-$width: {kind: logical, cluster: bench, tables: [rows_$width], data-only: true}"
  done
} >"$work/ours.yaml"
ctl() { "${as_postgres[@]}" "$work/bin/backupctl" "$@" --config "$work/ours.yaml"; }
ctl repository create >/dev/null
"${as_postgres[@]}" "$work/bin/backupd" --config "$work/ours.yaml" >"$work/backupd.log" 2>&1 &
helper=$!
wait_for "the daemon" ctl jobs
for width in "${each[@]}"; do
  rows=$((mebibytes * 1048576 / width)) table=rows_$width
  say "Rows of $width bytes: $rows of them, $dumps dumps after the first"
  # What is not the number, the tabs and what changes: text of random letters, as tokens and names are.
  pg_sql >/dev/null <<SQL
create table $table (id bigint primary key, value text, rest text) with (fillfactor = 90);
insert into $table select i, md5(i::text),
  left((select string_agg(md5((i * 64 + k)::text), '') from generate_series(0, $((width / 32))) k),
    $((width - 35)) - length(i::text))
  from generate_series(1, $rows) i;
SQL
  pg_sql -c "vacuum analyze $table" >/dev/null
  ctl run "width-$width" >/dev/null 2>"$work/output.log"
  for number in $(seq "$dumps"); do
    pg_sql -c "update $table set value = md5(random()::text)
      where id in (select 1 + (random() * $rows)::bigint from generate_series(1, $rows / 200))" >/dev/null
    ctl run "width-$width" >/dev/null 2>"$work/output.log"
    "$pg_bin/pg_dump" -Fc -Z0 -t "$table" --data-only -h "$pg_socket" -U postgres postgres | zstd -q -1 | wc -c \
      >>"$work/results/separate-$width"
  done
done
ctl backups --kind logical --json >"$work/backups.json"
"$BACKUPD_TEST_PYTHON" - "$work" "$mebibytes" "$dumps" "${each[@]}" >"$work/tables.md" <<'PYTHON'
import json, statistics, sys

work, mebibytes, dumps, widths = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4:]
backups = json.load(open(work + "/backups.json"))
print(f"{mebibytes} MiB of rows, {dumps} dumps after the first, 0.5 % of the rows changed before each:\n")
print("| bytes of a row | rows changed | a later dump, MiB | pg_dump -Fc -Z0, zstd -1, MiB | ratio |")
print("| ---: | ---: | ---: | ---: | ---: |")
for width in widths:
    taken = [b for b in backups if b["job"] == "width-" + width]
    if len(taken) != dumps + 1:
        sys.exit(f"{len(taken)} dumps of width {width} are listed, not {dumps + 1}")
    stored = statistics.mean(b["storedBytes"] for b in taken[1:])
    separate = statistics.mean(int(line) for line in open(f"{work}/results/separate-{width}"))
    rows = mebibytes * 1048576 // int(width)
    print(f"| {width} | {rows // 200} | {stored / 1048576:.2f} | {separate / 1048576:.1f} | {stored / separate:.3f} |")
print()
PYTHON
put widths <"$work/tables.md"
