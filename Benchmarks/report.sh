# shellcheck shell=bash
# From measurements to the tables of docs/performance.md; sourced by bench.sh.

# ours_last STEP ...   how long our newest measurement of each step took, as a clause
ours_last() {
  local step clause=''
  for step in "$@"; do
    [ ! -e "$work/results/$step.ours.times" ] || clause+=", $step $(tail -1 "$work/results/$step.ours.times" | cut -d' ' -f1) s"
  done
  [ -z "$clause" ] || printf '; ours:%s' "${clause#,}"
}
table() { "$BACKUPD_TEST_PYTHON" "$repo_root/Benchmarks/table.py" "$work/results" "$@"; }
machine() {
  local model
  model=$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -1)
  printf '%s, %s cores, %s GiB, %s; PostgreSQL %s, zstd %s; medians of %s rounds.\n' "${model:-$(uname -m)}" "$(nproc)" \
    "$(awk '$1 == "MemTotal:" { printf "%.0f", $2 / 1048576 }' /proc/meminfo)" "$(findmnt -n -o FSTYPE -T "$work")" \
    "$(echo 'show server_version' | pg_sql | cut -d' ' -f1)" "$(zstd -qV 2>/dev/null | sed 's/^v//')" "$rounds"
}
# put PART   prints what comes in and puts it between the part's markers
put() {
  local page=$repo_root/docs/performance.md marker=$1
  [ "$major" = 15 ] || marker=$1-$major
  cat >"$work/table.md"
  printf '\n%s:\n\n' "$marker"
  cat "$work/table.md"
  grep -q "<!-- bench:$marker:begin -->" "$page" || return 0
  sed -e "/<!-- bench:$marker:begin -->/r $work/table.md" \
    -e "/<!-- bench:$marker:begin -->/,/<!-- bench:$marker:end -->/{/<!-- bench:/!d}" "$page" >"$work/page.md"
  # Into the file that is there: it keeps its owner and mode.
  cat "$work/page.md" >"$page"
}
# put_tables PART STEP TITLE [STEP TITLE ...]   a part's tables, each below its title
put_tables() {
  local part=$1
  shift
  while [ $# -gt 0 ]; do
    [ -z "$2" ] || printf '%s\n\n' "$2"
    table "$1"
    echo
    shift 2
  done >"$work/tables.md"
  machine >>"$work/tables.md"
  put "$part" <"$work/tables.md"
}
write_report() {
  local name mebibytes
  mebibytes=$(awk -v b="$cluster_bytes" 'BEGIN { printf "%.0f MiB", b / 1048576 }')
  for name in "${sides[@]}"; do printf '%s\t%s\n' "$name" "${titles[$name]}"; done >"$work/results/titles"
  if wanted full; then put_tables full full "$mebibytes:"; fi
  if wanted second; then put_tables second second ""; fi
  if wanted unchanged; then put_tables unchanged unchanged "$mebibytes:"; fi
  if wanted restore; then
    put_tables restore restore-first "The first backup:" \
      restore-later "Backup $history, about 3 % of the pages changed before each since the first:"
  fi
}
