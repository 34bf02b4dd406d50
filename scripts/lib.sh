# shellcheck shell=bash
# What ./dev, .ci/run and the scripts share. Sourced; expects `set -euo pipefail` and $root.

: "${root:?the sourcing script sets it to the root of the checkout}"

say() { printf '%s\n' "$*" >&2; }
die() {
  say "dev: $1"
  shift
  for line in "$@"; do say "     $line"; done
  exit 1
}

# One compiler needs up to 1 GiB: all cores, but no more compilers than memory for them.
job_count() {
  local cores mem_kib
  cores=$(nproc)
  mem_kib=$(awk '/^MemTotal:/ { print $2 }' /proc/meminfo 2>/dev/null || echo 0)
  local by_memory=$((mem_kib / 1048576))
  ((by_memory >= 1)) || by_memory=1
  echo $((cores < by_memory ? cores : by_memory))
}

# Files of the project that match the patterns (git pathspecs), without deleted ones, one a line.
project_files() {
  if git -C "$root" rev-parse --is-inside-work-tree >/dev/null 2>&1; then
    git -C "$root" ls-files --cached --others --exclude-standard -- "$@" | while read -r file; do
      if [[ -f $root/$file ]]; then echo "$file"; fi
    done | sort -u
  else  # an unpacked archive
    local names=()
    for pattern in "$@"; do names+=(-o -name "${pattern##*/}"); done
    (cd "$root" && find . \( -name build -o -name data -o -name .git \) -prune -o -type f \( "${names[@]:1}" \) -print) |
      sed 's|^\./||' | sort -u
  fi
}

# --- Debian packages ---

wanted_packages() { sed -e 's/#.*//' -e 's/[[:space:]]//g' -e '/^$/d' "$root/scripts/$1"; }  # $1: the list

missing_packages() {
  local installed
  # shellcheck disable=SC2046  # package names hold no spaces
  installed=$(dpkg-query -W -f='${Package} ${db:Status-Status}\n' $(wanted_packages "$1") 2>/dev/null |
    sed -n 's/ installed$//p') || true
  comm -23 <(wanted_packages "$1" | sort -u) <(sort -u <<<"$installed")
}

apt() {  # apt get-command arguments…: quiet, as root, never asking
  DEBIAN_FRONTEND=noninteractive "${as_root[@]}" apt-get -qq -y -o DPkg::Lock::Timeout=300 "$@" </dev/null
}

# The machine's own servers stay as they are: what a package brings along does not start by being installed.
install_quietly() (
  policy=/usr/sbin/policy-rc.d
  if [[ ! -e $policy ]]; then
    trap '"${as_root[@]}" rm -f "$policy"' EXIT
    printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" install -m 755 /dev/stdin "$policy"
  fi
  apt install --no-install-recommends "$@"
)

# ensure_packages [list]: everything listed in scripts/packages.txt, or in another list there, is there afterwards.
# shellcheck disable=SC2120  # without an argument: the list that everybody needs
ensure_packages() {
  local list=${1:-packages.txt}
  if ! command -v dpkg-query >/dev/null; then
    if [[ $list == packages.txt ]] && command -v clang++-19 >/dev/null && command -v cmake >/dev/null &&
      command -v ninja >/dev/null; then return; fi
    die "this is no Debian system, so packages cannot be installed for you" \
      "install what scripts/$list lists (clang 19, CMake 3.25, Ninja and the libraries) and try again"
  fi
  local missing
  missing=$(missing_packages "$list")
  if [[ -z $missing ]]; then return; fi

  # shellcheck disable=SC2086  # package names hold no spaces
  say "dev: installing $(wc -l <<<"$missing") missing Debian packages:" $missing
  as_root=()
  if ((EUID != 0)); then
    command -v sudo >/dev/null || die "installing packages needs root, and there is no sudo" \
      "run as root: apt-get install --no-install-recommends $(tr '\n' ' ' <<<"$missing")"
    as_root=(sudo DEBIAN_FRONTEND=noninteractive)
    if [[ ! -t 0 ]]; then as_root=(sudo -n DEBIAN_FRONTEND=noninteractive); fi
  fi
  local log
  log=$(mktemp "${TMPDIR:-/tmp}/scheduler-packages.XXXXXX")
  # The lists may be absent (fresh image) or old (the version they name is gone from the mirror): read them then only.
  # shellcheck disable=SC2086
  if ! { apt-cache show $missing && install_quietly $missing; } >"$log" 2>&1; then
    say "dev: reading the package lists first (apt-get update)"
    if ! { apt update && install_quietly $missing; } >>"$log" 2>&1; then
      tail -n 30 "$log" >&2
      die "installing packages failed; the end of $log is above" \
        "is the network up, and is this Debian 12 (bookworm)? It says: $(. /etc/os-release && echo "$PRETTY_NAME")"
    fi
  fi
  rm -f "$log"
}

# --- build ---

# configure <preset>: brings build/<preset> into being; Ninja repeats it when a CMake file changes.
configure() {
  local dir=$root/build/$1 fresh=()
  if [[ -f $dir/CMakeCache.txt ]]; then
    if [[ -f $dir/build.ninja ]] && grep -qxF "CMAKE_HOME_DIRECTORY:INTERNAL=$root" "$dir/CMakeCache.txt"; then return; fi
    fresh=(--fresh)  # interrupted, or the checkout has moved
  fi
  mkdir -p "$dir"
  if ! (cd "$root" && cmake "${fresh[@]}" --preset "$1" >"$dir/configure.log" 2>&1); then
    cat "$dir/configure.log" >&2
    die "configuring preset '$1' failed, see above" "after repairing it, run the same command again"
  fi
}

# executables <preset> <folder of the build>: the programs that are built there, as targets, one a line.
executables() {
  local said  # a changed CMake file may bring a new program: let Ninja read it first
  said=$(ninja -C "$root/build/$1" build.ninja 2>&1) || die "configuring preset '$1' again failed:" "$said"
  ninja -C "$root/build/$1" -t targets all | sed -n "s|^\\($2/[^/:]*\\): CXX_EXECUTABLE.*|\\1|p"
}

# build <preset> [target…]: progress goes to standard error, where it does not mix with a program's output.
build() {
  local preset=$1
  shift
  configure "$preset"
  ninja -C "$root/build/$preset" -j "$(job_count)" "$@" >&2 ||
    die "the build of preset '$preset' failed: the first error is above"
}
