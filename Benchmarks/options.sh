# shellcheck shell=bash
# How the benchmarks read their options; sourced after environment.sh.

# read_options "OPTION[=VARIABLE] ..." ARGUMENT ...   sets a variable for each "--OPTION VALUE"; the script's head says how
# it is used. Sets usage, for what the script itself finds wrong.
read_options() {
  local known=" $1 " rest name
  usage=$(sed -n "s/^#   \\($(basename "$0") .*\\)/\\1/p" "$0")
  shift
  while [ $# -gt 0 ]; do
    [ $# -gt 1 ] || fail "\"$1\" needs a value" "$usage"
    name=${1#--}
    case $1/$known in
    --*/*" $name="*)
      rest=${known#*" $name="}
      printf -v "${rest%% *}" %s "$2"
      ;;
    --*/*" $name "*) printf -v "$name" %s "$2" ;;
    *) fail "unknown argument \"$1\"" "$usage" ;;
    esac
    shift 2
  done
}
