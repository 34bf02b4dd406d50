#!/usr/bin/env bash
# Builds release, starts the private servers (./dev services), installs the peers that we compare with (npm), runs every
# program in build/release/benches and prints one table; the same text, with facts about the
# machine, goes to build/benchmarks/<date>.txt. Compare figures only within one file: machines differ, and so do days.
#
# A benchmark prints rows "| measure | seen | goal |", with or without a head; its other lines are remarks. Programs of
# Google Benchmark are understood as they are. Arguments are handed to every program, for example --quick.
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
    print("|", row["name"], "|", f"""{row["real_time"]:.4g} {row["time_unit"]}""", "| |")'
  else
    "$program" "$@"
  fi
}

# Rows under one head, whatever their program thinks of columns; remarks between them.
row_format='| %-54s | %26s | %-20s |\n'
as_rows() {
  awk -F'|' -v row="$row_format" '
    function trimmed(text) { sub(/^ /, "", text); sub(/ +$/, "", text); return text }
    NF < 4 { if ($0 != "") print "  # " $0; next }
    $2 ~ /^ *(measure|-+) *$/ { next }
    { seen = trimmed($3); sub(/^ +/, "", seen); printf row, trimmed($2), seen, trimmed($4); fflush() }'
}

# The private servers that benchmarks talk to: their addresses go into the environment. Without them those benchmarks say
# that there was nothing to measure.
find_services() {
  if [[ ${SCHEDULER_SERVICES:-} == none ]]; then return; fi
  "$root/scripts/services.sh" up || say "bench: some servers did not start, see above; what needs them is left out"
  if [[ -s $root/build/services/env ]]; then
    set -a
    # shellcheck source=/dev/null
    source "$root/build/services/env"
    set +a
  fi
}

# Schedulers of others, in the exact versions of benches/peers/package-lock.json. Installed again only when these change.
find_peers() {
  local peers=$root/build/peers
  if ! command -v npm >/dev/null; then return 1; fi
  mkdir -p "$peers"
  cp "$root"/benches/peers/*.mjs "$root/benches/peers/package.json" "$peers"
  if ! cmp -s "$root/benches/peers/package-lock.json" "$peers/installed-lock.json"; then
    cp "$root/benches/peers/package-lock.json" "$peers"
    (cd "$peers" && npm ci --ignore-scripts --no-audit --no-fund) >"$peers/npm.log" 2>&1 || return 1
    cp "$peers/package-lock.json" "$peers/installed-lock.json"
  fi
  export SCHEDULER_BENCH_PEERS=$peers
}

mapfile -t benches < <(executables release benches)
build release "${benches[@]}" bin/scheduler-dispatcher  # the cluster has one in a process of its own
find_services
find_peers || say "bench: npm, or its registry, cannot be reached (build/peers/npm.log); peers are not measured"
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
  # shellcheck disable=SC2059  # the format is ours
  printf "$row_format" measure seen goal
  # shellcheck disable=SC2059
  printf "$row_format" --- --- ---
  for program in "${programs[@]}"; do run_program "$program" "$@" 2>&1 | as_rows; done
  ((${#programs[@]} > 0)) || echo "(no benchmark is built yet: build/release/benches is empty)"
} | tee "$file"
say "written to ${file#"$PWD/"}"
