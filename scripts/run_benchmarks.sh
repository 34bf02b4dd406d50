#!/usr/bin/env bash
# Builds release, runs every program in build/release/benches and prints one table; the same text, with facts about the
# machine, goes to build/benchmarks/<date>.txt. Compare figures only within one file: machines differ, and so do days.
#
# A benchmark prints rows as NAME<TAB>VALUE<TAB>UNIT; its other lines are remarks. Google Benchmark programs are
# understood as they are. Arguments are handed to every program.
set -euo pipefail
root=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.." && pwd)
# shellcheck source=scripts/lib.sh
source "$root/scripts/lib.sh"

# Median time of write + fdatasync of 4 KiB where benchmarks keep their data: the floor of every durable commit.
fsync_micros() {
  python3 - "$1" <<'PY'
import os, statistics, sys, tempfile, time
took = []
with tempfile.NamedTemporaryFile(dir=sys.argv[1]) as file:
    for _ in range(200):
        began = time.perf_counter()
        os.pwrite(file.fileno(), b"x" * 4096, 0)
        os.fdatasync(file.fileno())
        took.append(time.perf_counter() - began)
print(f"{statistics.median(took) * 1e6:.0f} us (slowest of 200: {max(took) * 1e6:.0f} us)")
PY
}

machine_facts() {
  echo "date       $(date -u +%Y-%m-%dT%H:%M:%SZ)"
  echo "commit     $(git -C "$root" describe --always --dirty 2>/dev/null || echo unknown)"
  echo "processor  $(sed -n 's/^model name[[:space:]]*: //p' /proc/cpuinfo | head -n 1), $(nproc) cores"
  echo "memory     $(awk '/^MemTotal:/ { printf "%.1f GiB", $2 / 1048576 }' /proc/meminfo)"
  echo "kernel     $(uname -sr)"
  echo "disk       $(df -T "$out" | awk 'NR == 2 { print $1 " (" $2 ")" }'), fsync of 4 KiB: $(fsync_micros "$out")"
  echo "load       $(cut -d' ' -f1-3 /proc/loadavg) before the first benchmark"
}

run_program() {
  local program=$1
  shift
  if ldd "$program" | grep -q libbenchmark; then
    "$program" --benchmark_format=json "$@" | python3 -c '
import json, sys
for row in json.load(sys.stdin)["benchmarks"]:
    print(row["name"], f"{row["real_time"]:.4g}", row["time_unit"], sep="\t")'
  else
    "$program" "$@"
  fi
}

# Rows as a table, remarks as they are.
table() {
  awk -F'\t' -v program="$1" '
    NF == 3 { printf "%-28s %-44s %14s %s\n", program, $1, $2, $3; next }
    { print "  # " $0 }'
}

build release
out=$root/build/benchmarks
mkdir -p "$out"
file=$out/$(date -u +%Y-%m-%dT%H%M%SZ).txt
shopt -s nullglob
programs=()
for program in "$root"/build/release/benches/*; do
  if [[ -f $program && -x $program ]]; then programs+=("$program"); fi
done
{
  machine_facts
  echo
  printf '%-28s %-44s %14s %s\n' program benchmark value unit
  for program in "${programs[@]}"; do
    run_program "$program" "$@" 2>&1 | table "${program##*/}"
  done
  ((${#programs[@]} > 0)) || echo "(no benchmark is built yet: build/release/benches is empty)"
} | tee "$file"
say "written to ${file#"$PWD/"}"
