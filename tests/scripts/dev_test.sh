#!/usr/bin/env bash
# The front door answers, from any folder, through a link, and refuses what it does not know.
set -euo pipefail
root=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../.." && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
fail() { echo "$*"; exit 1; }
cd "$scratch"
ln -s "$root/dev" door

./door help | grep -q '^usage: ./dev' || fail "help does not say how it is used"
./door | grep -q '^usage: ./dev' || fail "no word does not mean help"
said=$(./door services sideways 2>&1) && fail "services takes any word"
grep -q "takes 'up', 'down', 'kill' or 'status'" <<<"$said" || fail "services does not say which words it takes: $said"
./door arch 2>&1 | grep -q 'keep the house plan' || fail "arch does not work through a link"
code=0
said=$(./door rum 2>&1) || code=$?
((code == 2)) || fail "an unknown word exits with $code, not 2"
grep -q "no word 'rum'" <<<"$said" || fail "an unknown word is not named: $said"

# Every word of the help is a word, and the other way round.
listed=$(./door help | sed -n 's/^  \([a-z][a-z]*\) .*/\1/p' | sort)
known=$(sed -n 's/^  \(run | .*\))$/\1/p' "$root/dev" | tr -d ' ' | tr '|' '\n')
[[ $listed == $(printf '%s\nsetup\nhelp\n' "$known" | sort) ]] || fail "help and words differ: $listed"

# A missing package is named before anything is done, and without root or sudo there is a command to copy.
mkdir -p "$scratch/tree/scripts"
cp "$root/dev" "$scratch/tree/"
cp "$root/scripts/lib.sh" "$scratch/tree/scripts/"
echo 'no-such-package-of-debian  # remark' >"$scratch/tree/scripts/packages.txt"
if command -v dpkg-query >/dev/null && ((EUID != 0)) && ! command -v sudo >/dev/null; then
  said=$("$scratch/tree/dev" setup 2>&1) && fail "a missing package did not stop setup"
  grep -q 'apt-get install --no-install-recommends no-such-package-of-debian' <<<"$said" || fail "no remedy: $said"
fi
echo "the front door answers"
