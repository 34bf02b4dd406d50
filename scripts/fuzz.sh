#!/usr/bin/env bash
# Feeds fuzz targets with inputs that grow from tests/fuzz/corpus, several targets at the same time.
#   fuzz.sh [TARGET…] [--seconds N]   default: all of them, a minute each
# What is new goes to build/fuzz/corpus; an input that fails goes to build/fuzz/found, and from there, by hand, to
# tests/fuzz/corpus, once it is understood.
set -euo pipefail
root=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.." && pwd)
# shellcheck source=scripts/lib.sh
source "$root/scripts/lib.sh"

seconds=60
targets=()
while (($# > 0)); do
  case $1 in
    --seconds)
      [[ ${2:-} =~ ^[1-9][0-9]*$ ]] || die "--seconds needs a whole number, as in --seconds 300"
      seconds=$2
      shift
      ;;
    -*) die "'$1' is not known" "usage: ./dev fuzz [TARGET…] [--seconds N]" ;;
    *) targets+=("$1") ;;
  esac
  shift
done
mapfile -t known < <(cd "$root/tests/fuzz/corpus" && printf '%s\n' *)
for target in "${targets[@]}"; do
  [[ -d $root/tests/fuzz/corpus/$target ]] || die "there is no fuzz target '$target'" "there are: ${known[*]}"
done
((${#targets[@]} > 0)) || targets=("${known[@]}")

build fuzz "${targets[@]/#/fuzz_}"
found=$root/build/fuzz/found
mkdir -p "$found"

fuzz_one() {
  local target=$1 log=$root/build/fuzz/$1.log grown=$root/build/fuzz/corpus/$1
  mkdir -p "$grown"
  # Of the two directories the first one grows. Inputs of a size that people could read: what matters fits.
  if UBSAN_OPTIONS=print_stacktrace=1 "$root/build/fuzz/fuzz/$target" "$grown" "$root/tests/fuzz/corpus/$target" \
    -dict="$root/tests/fuzz/$target.dict" -max_total_time="$seconds" -max_len=4096 -timeout=10 -rss_limit_mb=2048 \
    -artifact_prefix="$found/$target-" -print_final_stats=1 >"$log" 2>&1; then
    say "fuzz: $target: $(sed -n 's/^stat::number_of_executed_units: *//p' "$log") inputs in $seconds s, nothing found"
    return
  fi
  grep -aE 'does not hold|^seen: |ERROR:|SUMMARY:|runtime error|Test unit written' "$log" | cut -c 1-500 >&2
  say "fuzz: $target: failed, see above and $log"
  say "  again: build/fuzz/fuzz/$target FILE, the file that is named above"
  say "  once it is mended: move it to tests/fuzz/corpus/$target, under a name that says what it is"
  return 1
}

failed=0
running=0
for target in "${targets[@]}"; do
  if ((running >= $(job_count))); then
    wait -n || failed=1
    running=$((running - 1))
  fi
  fuzz_one "$target" &
  running=$((running + 1))
done
while ((running > 0)); do
  wait -n || failed=1
  running=$((running - 1))
done
((failed == 0))
