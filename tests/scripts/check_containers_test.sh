#!/usr/bin/env bash
# Faults in docker-compose.yml and Dockerfile are caught; the files as they are pass.
set -euo pipefail
root=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../.." && pwd)
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
fail() { echo "$*"; exit 1; }

# caught FILE SED-EXPRESSION WHAT
caught() {
  cp "$root/docker-compose.yml" "$root/Dockerfile" "$tree/"
  sed -i "$2" "$tree/$1"
  ! cmp -s "$root/$1" "$tree/$1" || fail "the fault was not seeded: $3"
  "$root/scripts/check_containers.sh" "$tree" >"$tree/said" 2>&1 && fail "not caught: $3"
  return 0
}

code=0
said=$("$root/scripts/check_containers.sh" 2>&1) || code=$?
if ((code == 77)); then
  echo "$said"
  exit 77
fi
((code == 0)) || fail "a false alarm: $said"
caught docker-compose.yml 's/healthcheck:/healthchek:/' "a word that Compose does not know"
caught docker-compose.yml 's/cap_drop: .*/cap_drop: ALL/' "a text in place of a list"
caught docker-compose.yml 's/^networks:/networks: []\nnetwork:/' "networks that are no table"
caught docker-compose.yml 's/image: redis:7.0/image: redis/' "an image without a version"
caught Dockerfile 's/^USER /USR /' "a word that Docker does not know"
caught Dockerfile 's/^COPY --from=build.*/COPY/' "an instruction without its arguments"
echo "faults in container files are caught"
