#!/usr/bin/env bash
# Everything that judges text rather than behaviour. `quick` stops after the checks that take seconds.
#   lint.sh [quick] [FILES…]   FILES: what clang-tidy looks at; default: what changed against main (on main: the last commit)
set -euo pipefail
root=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.." && pwd)
# shellcheck source=scripts/lib.sh
source "$root/scripts/lib.sh"

failed=()
step() {  # step NAME command…: all steps run, so that one run shows everything
  local name=$1
  shift
  say "lint: $name"
  "$@" || failed+=("$name")
}

check_format() {
  project_files '*.cpp' '*.hpp' | xargs -r clang-format-19 --dry-run -Werror 2>&1 |
    grep -E 'error:' | cut -d: -f1 | sort | uniq -c | awk '{ print "  " $2 ": " $1 " places" }' >"$scratch/format" || true
  if [[ ! -s $scratch/format ]]; then return; fi
  cat "$scratch/format" >&2
  say "  remedy: ./dev format"
  return 1
}

check_shell() {
  if ! command -v shellcheck >/dev/null; then
    say "  shellcheck is not here; skipped"
    return
  fi
  { echo dev; echo .ci/run; project_files '*.sh'; } | xargs shellcheck -x
}

check_containers() {
  local code=0
  "$root/scripts/check_containers.sh" || code=$?
  ((code == 0 || code == 77))  # 77: it says why it was skipped
}

changed_sources() {
  local base
  base=$(git merge-base HEAD main 2>/dev/null || true)
  if [[ -z $base || $base == $(git rev-parse HEAD) ]]; then base=$(git rev-parse -q --verify HEAD~1 || git rev-parse HEAD); fi
  { git diff --name-only --diff-filter=d "$base"; git ls-files --others --exclude-standard; } |
    grep -E '^(src|apps|tests|benches)/.*\.cpp$' | sort -u || true
}

check_tidy() {
  local sources=("$@")
  if ((${#sources[@]} == 0)); then
    git rev-parse HEAD >/dev/null 2>&1 || { say "  no git history here: name the files"; return; }
    mapfile -t sources < <(changed_sources)
  fi
  ((${#sources[@]} > 0)) || { say "  no C++ source changed"; return; }
  say "  ${#sources[@]} files"
  # Only what is compiled at all has a command; the summary of suppressed warnings is noise.
  printf '%s\n' "${sources[@]}" | while read -r file; do
    if grep -qF "\"$root/${file#"$root/"}\"" "$root/build/lint/compile_commands.json"; then echo "$file"; fi
  done | xargs -r -n 1 -P "$(job_count)" ${SCHEDULER_COMPILE_WRAPPER:+"$SCHEDULER_COMPILE_WRAPPER"} \
    clang-tidy-19 --quiet -p "$root/build/lint" 2> >(grep -vE 'warnings? (generated|treated)|Suppressed|Use -header' >&2)
}

quick=
if [[ ${1:-} == quick ]]; then
  quick=1
  shift
fi
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$root"

step "architecture" "$root/scripts/architecture_check.sh"
step "links in documents" "$root/scripts/check_doc_links.py"
step "format" check_format
step "shell scripts" check_shell
step "containers" check_containers
if [[ -z $quick ]]; then
  configure lint
  step "headers compile alone" "$root/scripts/check_headers.py" --build "$root/build/lint" --jobs "$(job_count)"
  step "clang-tidy" check_tidy "$@"
fi
((${#failed[@]} == 0)) || die "lint found something in: ${failed[*]}"
say "lint: clean"
