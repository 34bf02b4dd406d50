#!/usr/bin/env bash
# Private servers come up, twice if asked twice, come back after having been killed, and go down without a rest.
set -euo pipefail
root=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../.." && pwd)
services=$root/scripts/services.sh
fail() { echo "$*"; exit 1; }
if ! command -v redis-server >/dev/null; then
  echo "skipped: redis-server is not installed; ./dev services up brings it"
  exit 77
fi

scratch=$(mktemp -d)
chmod 755 "$scratch"
export SCHEDULER_SERVICES_DIR=$scratch/services
trap '"$services" down >/dev/null 2>&1; rm -rf "$scratch"' EXIT

first_process() { cut -d' ' -f1 "$SCHEDULER_SERVICES_DIR/$1.pid"; }
running() { "$services" status redis postgres >/dev/null; }

"$services" down redis postgres 2>/dev/null || fail "down of what never started is an error"
"$services" up redis postgres
running || fail "they do not run after 'up'"
[[ $(grep -c '^SCHEDULER_TEST_.*_URL=' "$SCHEDULER_SERVICES_DIR/env") == 2 ]] || fail "the env file does not name both"
before=$(first_process redis)
"$services" up redis postgres
[[ $(first_process redis) == "$before" ]] || fail "a second 'up' started another one"

for name in redis postgres; do kill -9 "$(first_process $name)"; done
"$services" up redis postgres
running || fail "they do not come back after kill -9"

# PostgreSQL's own processes lead sessions of their own: one that outlives its server would work on the next one's data.
server=$(first_process postgres)
"$services" kill redis postgres
running && fail "they run after 'kill'"
for stat in /proc/[0-9]*/stat; do
  [[ $(readlink "${stat%stat}cwd") != "$SCHEDULER_SERVICES_DIR/postgres"* ]] || fail "a process of server $server survived it"
done
"$services" up redis
"$services" status redis >/dev/null || fail "one alone does not come back after 'kill'"
"$services" status postgres >/dev/null && fail "one that nobody asked for came back"
"$services" up redis postgres
running || fail "they do not come back after 'kill'"

"$services" down redis postgres
running && fail "they run after 'down'"
[[ ! -e $SCHEDULER_SERVICES_DIR/env ]] || fail "the env file outlives the servers"
"$services" down redis postgres || fail "a second 'down' is an error"
echo "services come and go"
