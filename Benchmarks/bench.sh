#!/usr/bin/env bash
# Backups and restores, ours against other tools', on the same server, disk and run.
#
#   bench.sh [--size UNITS] [--rounds N] [--history N] [--postgres MAJOR] [--only PART,...] [--peers PEER,...]
#
# A unit is about 15 MB of pgbench and OAuth rows, the same in each run. The parts:
#   full, second, unchanged   a round: a first backup by each side into a new place; 3 % of the pages changed; the second
#                             backup; one with nothing changed
#   restore                   a history of N backups with 3 % changed before each; its first and its last restored
# The order of the sides turns with each round. The peers are the files of peers/; backupd takes part in any case. Prints
# tables of medians and puts them between the markers of docs/performance.md; a part that was not run keeps its table.
#
#   BACKUPD_BIN    directory of the programs (default .build/release)
#   BENCH_DIR      where everything is written (default TMPDIR or /tmp): a disk with room for ten times the cluster
#   PGBACKREST     another pgbackrest, beside Debian's
#   BARMAN         the barman to use, instead of the one that install-peers.sh installs
set -euo pipefail
. "$(dirname "$0")/../scripts/environment.sh"
size=100 rounds=3 history=10 major=15 parts=full,second,unchanged,restore peers=pgbackrest,barman,basebackup,limits
. "$repo_root/Benchmarks/options.sh"
read_options "size rounds history postgres=major only=parts peers" "$@"
[ "$rounds" -ge 3 ] || fail "a median needs at least three rounds"
[ "$history" -ge 2 ] || fail "a history needs at least two backups"
for part in ${parts//,/ }; do
  case $part in full | second | unchanged | restore) ;; *) fail "unknown part \"$part\"" "$usage" ;; esac
done
. "$repo_root/Benchmarks/workspace.sh"

wanted() { case ,$parts, in *,"$1",*) return 0 ;; *) return 1 ;; esac }

say "Filling PostgreSQL $major: $size units"
settings=(shared_buffers=256MB max_wal_size=8GB checkpoint_timeout=1h autovacuum=off)
[ "$major" -lt 17 ] || settings+=(summarize_wal=on)
pg_create "${settings[@]}"
pg_start
"$pg_bin/pgbench" -i -q -I dtGp -s $((size / 12 + 1)) -F 90 -h "$pg_socket" -U postgres postgres >"$work/output.log" 2>&1 ||
  fail "pgbench did not succeed" "$(tail -1 "$work/output.log")"
pg_sql -f "$repo_root/scripts/oauth/schema.sql"
pg_sql -v rows=$((size * 13000)) -f "$repo_root/Benchmarks/seed.sql"
touches=0
touch_pages() {
  touches=$((touches + 1))
  pg_sql -v share=0.03 -v seed=$touches -f "$repo_root/Benchmarks/touch.sql"
}
changed_pages() { "$BACKUPD_TEST_PYTHON" "$repo_root/Benchmarks/changed.py" "$1" "$pg_data" "$work/pages"; }

# side NAME TITLE "STEP ..."   what a peer's file declares: NAME_take STEP [ORDINAL], NAME_restore first|later
sides=()
declare -A titles=() steps=()
side() { sides+=("$1") titles[$1]=$2 steps[$1]=$3; }
for peer in ours ${peers//,/ }; do
  [ -e "$repo_root/Benchmarks/peers/$peer.sh" ] || fail "unknown peer \"$peer\"" "$(cd "$repo_root/Benchmarks/peers" && echo *.sh)"
  # shellcheck source=/dev/null
  . "$repo_root/Benchmarks/peers/$peer.sh"
done

# each ROUND STEP COMMAND [ARGUMENT ...]   COMMAND SIDE ARGUMENT ... for the sides that take the step, each round beginning
# with another one
each() {
  local round=$1 step=$2 command=$3 name shift taking=()
  for name in "${sides[@]}"; do
    case " ${steps[$name]} " in *" $step "*) taking+=("$name") ;; esac
  done
  shift=$(((round - 1) % ${#taking[@]}))
  for name in "${taking[@]:shift}" "${taking[@]:0:shift}"; do "$command" "$name" "${@:4}"; done
}
take() {
  warm "$pg_data/base"
  "${1}_take" "${@:2}"
}
# A first backup that later ones build on, where it is itself not asked for.
take_needed() {
  case "${steps[$1]}" in *second*) take "$1" full ;; esac
}
# bring_back SIDE first|later ROUND
bring_back() {
  rm -rf "$work/restored"
  "${1}_restore" "$2"
  if [ "$2$3" = later1 ]; then
    diff -rq -x pg_internal.init -x pgsql_tmp "$pg_data/base" "$work/restored/base" || fail "what $1 restored differs"
    if declare -F "${1}_check" >/dev/null; then "${1}_check"; fi
  fi
  rm -rf "$work/restored"
}

run_rounds() {
  local round
  for round in $(seq "$rounds"); do
    if wanted full; then each "$round" full take full; else each "$round" full take_needed; fi
    if wanted second; then
      changed_pages remember
      touch_pages
      changed_pages compare >>"$work/results/changed"
      each "$round" second take second
    fi
    if wanted unchanged; then each "$round" unchanged take unchanged; fi
    say "Round $round of $rounds is done$(ours_last full second unchanged)"
  done
}
run_restores() {
  local number round
  each 1 restore take first
  for number in $(seq 2 "$history"); do
    touch_pages
    each 1 restore take later "$number"
  done
  say "A history of $history backups is taken"
  for round in $(seq "$rounds"); do
    each "$round" restore bring_back first "$round"
    each "$round" restore bring_back later "$round"
    say "Round $round of $rounds is done$(ours_last restore-first restore-later)"
  done
}
cluster_bytes=$(directory_bytes "$pg_data/base")
if wanted full || wanted second || wanted unchanged; then run_rounds; fi
if wanted restore; then run_restores; fi
write_report
