#!/usr/bin/env bash
# docker-compose.yml against the compose schema and the rules of dclint, Dockerfile against those of dockerfile-utils. Both are
# npm packages of exact versions (tests/tools), installed into build/tools once; nothing needs Docker.
#   check_containers.sh [DIRECTORY]   where the two files are; default: the root of the checkout
# Exit status 77: skipped, because neither the packages nor the npm registry are there. Where CI judges, that is a failure.
set -euo pipefail
root=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.." && pwd)
# shellcheck source=scripts/lib.sh
source "$root/scripts/lib.sh"

where=${1:-$root}
tools=$root/build/tools

install_tools() {
  if cmp -s "$root/tests/tools/package-lock.json" "$tools/installed"; then return; fi
  command -v npm >/dev/null || ensure_packages tool_packages.txt
  mkdir -p "$tools"
  exec 9>"$tools/lock"
  flock 9
  if cmp -s "$root/tests/tools/package-lock.json" "$tools/installed"; then return; fi
  cp "$root"/tests/tools/package{,-lock}.json "$tools/"
  say "containers: installing linters from npm into build/tools"
  (cd "$tools" && npm ci --ignore-scripts --no-audit --no-fund --fetch-retries=1) >"$tools/npm.log" 2>&1 || {
    tail -n 5 "$tools/npm.log" >&2
    return 1
  }
  cp "$root/tests/tools/package-lock.json" "$tools/installed"
}

if ! install_tools; then
  [[ ${CI:-} != true ]] || die "the linters of docker-compose.yml and Dockerfile cannot be installed, see above"
  say "containers: skipped, because npm cannot install their linters (is the registry reachable?)"
  exit 77
fi
failed=
(cd "$where" && "$tools/node_modules/.bin/dclint" --max-warnings 0 --config "$root/tests/tools/dclint.json" docker-compose.yml) || failed=1
"$tools/node_modules/.bin/dockerfile-utils" lint "$where/Dockerfile" || failed=1
[[ -z $failed ]] || exit 1
say "containers: docker-compose.yml and Dockerfile are clean"
