#!/usr/bin/env bash
# Runs the tour of README.md as printed: starts a scheduler on a free port with a data folder of its own, then every
# ```sh block between <!-- tour --> and <!-- /tour -->, in order. A command that fails, fails the tour.
#   run_readme_tour.sh [BIN_DIR]   default: build/release/bin
set -euo pipefail
root=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.." && pwd)
bin=$(readlink -f "${1:-$root/build/release/bin}")

for program in scheduler scheduler-cli; do
  [[ -x $bin/$program ]] || { echo "tour: $bin/$program is not there; build it with ./dev build" >&2; exit 1; }
done
scratch=$(mktemp -d)
server=
leave() {
  local code=$?
  if [[ -n $server ]] && kill -0 "$server" 2>/dev/null; then kill -KILL "$server"; fi
  if ((code != 0)); then
    echo "tour: failed; the scheduler said:" >&2
    tail -n 40 "$scratch/server.log" >&2 || true
  fi
  rm -rf "$scratch"
  exit "$code"
}
trap leave EXIT

# The commands as they are printed, but with our programs and our port. --data_dir and the like do not exist in the
# tour: what differs is told through the environment.
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
export SCHEDULER_API__BIND_ADDRESS=127.0.0.1:$port
export SCHEDULER_API_URL=http://127.0.0.1:$port
export SCHEDULER_DATA_DIR=$scratch/data
export NO_COLOR=1
awk '
  /^<!-- tour -->$/ { tour = 1 }
  /^<!-- \/tour -->$/ { tour = 0 }
  /^```$/ { inside = 0 }
  inside { print }
  tour && /^```sh$/ { inside = 1 }' "$root/README.md" |
  sed -e "s|build/release/bin/|$bin/|g" -e "s|http://127.0.0.1:8080|$SCHEDULER_API_URL|g" >"$scratch/tour.sh"
[[ -s $scratch/tour.sh ]] || { echo "tour: README.md has no \`\`\`sh block between <!-- tour --> and <!-- /tour -->" >&2; exit 1; }

# Not in this shell's job control: a background child would ignore SIGINT, which is how the tour ends (Ctrl-C).
(cd "$scratch" && exec env --default-signal=INT "$bin/scheduler" >"$scratch/server.log" 2>&1) &
server=$!
for _ in $(seq 100); do
  if curl -fsS "$SCHEDULER_API_URL/health/ready" >/dev/null 2>&1; then break; fi
  kill -0 "$server" 2>/dev/null || { echo "tour: the scheduler ended before it was ready" >&2; exit 1; }
  sleep 0.1
done
curl -fsS "$SCHEDULER_API_URL/health/ready" >/dev/null

# What a person reads off the terminal and types.
SETUP_LINK=$(grep -o "http://[^']*/auth/setup#[A-Za-z0-9_-]*" "$scratch/server.log")
export SETUP_LINK HOME=$scratch
echo "a sentence for the tour" >"$scratch/password.txt"

(cd "$scratch" && bash -euxo pipefail "$scratch/tour.sh")

kill -INT "$server"
wait "$server" || { echo "tour: Ctrl-C ended the scheduler with status $?" >&2; exit 1; }
server=
echo "tour: every command of README.md worked"
