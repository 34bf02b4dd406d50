#!/usr/bin/env bash
# Seeds violations into a small tree, each into a file of its own, and expects the architecture check to name every one
# (file, line, rule) and nothing else.
set -euo pipefail
root=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../.." && pwd)
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
failures=0
number=100
wanted=()

clean_tree() {
  rm -rf "${tree:?}"/*
  mkdir -p "$tree/cmake" "$tree/apps/scheduler"
  cp "$root/cmake/SchedulerModule.cmake" "$tree/cmake/"
  for room in errors core domain application config database infrastructure api dispatcher worker cli; do
    mkdir -p "$tree/src/$room"
    printf '// %s/some.hpp — clean.\n#pragma once\n' "$room" >"$tree/src/$room/some.hpp"
    printf '#include "%s/some.hpp"\n\n' "$room" >"$tree/src/$room/some.cpp"
    echo "scheduler_module($room SOURCES some.cpp)" >"$tree/src/$room/CMakeLists.txt"
  done
  echo 'int main() {}' >"$tree/apps/scheduler/main.cpp"
}

check() { "$root/scripts/architecture_check.sh" --root "$tree" 2>&1 || true; }

miss() {
  printf '%s\n' "$*"
  failures=$((failures + 1))
}

# allow ROOM.KIND TEXT: a file of that room whose third line is TEXT, in which nothing is wrong.
allow() {
  local room=${1%.*} kind=${1##*.}
  number=$((number + 1))
  case $kind in
    cpp)
      printf '// case\n\n%s\n' "$2" >"$tree/src/$room/case_$number.cpp"
      echo "target_sources(scheduler_$room PRIVATE case_$number.cpp)" >>"$tree/src/$room/CMakeLists.txt"
      place=src/$room/case_$number.cpp:3
      ;;
    hpp)
      printf '// case\n#pragma once\n%s\n' "$2" >"$tree/src/$room/case_$number.hpp"
      place=src/$room/case_$number.hpp:3
      ;;
    cmake)
      mkdir "$tree/src/$room/case_$number"
      printf '\n\n%s\n' "$2" >"$tree/src/$room/case_$number/CMakeLists.txt"
      place=src/$room/case_$number/CMakeLists.txt:3
      ;;
  esac
}

# expect ROOM.KIND RULE TEXT: the same, and the line breaks RULE.
expect() {
  allow "$1" "$3"
  wanted+=("$place: [$2]")
}

clean_tree
grep -q 'files keep the house plan' <<<"$(check)" || { echo "a clean tree is not found clean:"; check; exit 1; }

# arrows
expect domain.cpp arrows '#include "application/some.hpp"'
expect dispatcher.cpp arrows '#include "worker/some.hpp"'
expect api.cpp arrows '#include "infrastructure/some.hpp"'
expect database.cpp arrows '#include "domain/some.hpp"'
expect core.hpp arrows '  #  include "domain/some.hpp"'
expect domain.cpp include '#include "some.hpp"'
expect domain.cpp include '#include "../core/some.hpp"'
expect worker.cmake arrows 'target_link_libraries(scheduler_worker PUBLIC scheduler::infrastructure_base)'
allow infrastructure.cmake 'add_library(scheduler::infrastructure_base ALIAS scheduler_infrastructure)'
allow worker.cpp '#include "errors/some.hpp"'
allow domain.cpp '// #include "application/some.hpp"'
echo '#include "infrastructure/some.hpp"' >>"$tree/apps/scheduler/main.cpp"

# purity
expect domain.cpp pure '#include "core/async.hpp"'
expect domain.hpp pure '#include "core/clock.hpp"'
expect domain.cpp pure '#include <boost/json.hpp>'
expect domain.cpp pure 'Async<int> f();'
expect domain.cpp pure 'void f() { co_return; }'
expect domain.cpp pure 'void f() { log::info("x"); }'
expect application.cpp pure '#include <thread>'
expect application.cpp pure '#include <sys/socket.h>'
expect dispatcher.cpp pure 'auto t = std::chrono::steady_clock::time_point{};'
expect dispatcher.cpp pure 'auto t = Wall::now();'
expect worker.cpp pure 'std::mutex m;'
expect worker.cpp pure 'int dice = rand();'
expect worker.cpp pure 'std::random_device dice;'
expect worker.cpp pure 'void f() { std::this_thread::yield(); }'
expect worker.cpp pure 'void f() { usleep(1); }'
expect domain.cpp pure 'void f() { std::cout << 1; }'
expect application.cpp environment 'auto v = std::getenv("HOME");'
expect api.cpp environment 'auto v = getenv("HOME");'
expect api.cpp clock 'auto t = std::chrono::system_clock::now();'
allow infrastructure.cpp 'auto t = std::chrono::system_clock::now();'
allow dispatcher.cpp 'auto t = clock_.now();'
allow worker.cpp 'auto text = "std::mutex and steady_clock::now()";  // rand()'
allow worker.cpp 'auto text = R"sql(select rand() from getenv)sql";'
allow domain.cpp "constexpr int kMax = 10'000;  // it's fine"

# third-party edges
expect application.cpp third-party '#include <sqlite3.h>'
expect infrastructure.cpp third-party '#include <sqlite3.h>'
expect worker.cpp third-party '#include <curl/curl.h>'
expect api.cpp third-party '#include <spdlog/spdlog.h>'
expect cli.cpp third-party '#include <boost/beast/core.hpp>'
expect dispatcher.cpp third-party '#include <boost/asio/steady_timer.hpp>'
expect api.cpp third-party '#include <boost/filesystem.hpp>'
expect database.hpp header '#include <sqlite3.h>'
expect application.hpp header '#include <fmt/format.h>'
expect core.hpp header '#include <boost/asio/io_context.hpp>'
allow database.cpp '#include <sqlite3.h>'
allow domain.cpp '#include <fmt/format.h>'
allow cli.hpp '#include <boost/json/fwd.hpp>'

# exceptions, words, build
expect application.cpp exceptions 'void f() { try { g(); } catch (...) {} }'
expect core.cpp exceptions 'void f() { throw 1; }'
allow infrastructure.cpp 'void f() { try { g(); } catch (...) {} }'
expect domain.cpp words 'int job_count = 0;'
expect dispatcher.cpp words 'struct WorkerNode {};'
expect api.cpp words 'class TaskManager;'
expect infrastructure.cpp words 'struct StringUtils {};'
expect domain.cpp words 'TimePoint next_run{};'
allow config.cpp 'const toml::node& node = table;'
allow domain.cpp 'int jobless = 0;'
echo 'int x;' >"$tree/src/core/forgotten.cpp"
wanted+=('src/core/forgotten.cpp:1: [build]')
expect core.cmake build 'file(GLOB all *.cpp)'

echo '// no guard' >"$tree/src/core/open.hpp"
wanted+=('src/core/open.hpp:1: [header]')
mkdir "$tree/src/misc"
wanted+=('src/misc:1: [arrows]')

found=$(check | grep 'remedy:' || true)
for place in "${wanted[@]}"; do
  (($(grep -cF "$place" <<<"$found") == 1)) || miss "not caught: $place"
done
while read -r line; do
  known=
  for place in "${wanted[@]}"; do [[ $line == "$place"* ]] && known=1; done
  [[ -n $known ]] || miss "false alarm: $line"
done <<<"$found"

clean_tree
echo 'set(SCHEDULER_ARROWS_errors worker)' >>"$tree/cmake/SchedulerModule.cmake"
grep -qF 'the arrows form a cycle' <<<"$(check)" || miss "not caught: a cycle"
clean_tree
echo 'set(SCHEDULER_ARROWS_errors elsewhere)' >>"$tree/cmake/SchedulerModule.cmake"
grep -qF "'elsewhere', which has no row" <<<"$(check)" || miss "not caught: an arrow to nowhere"

((failures == 0)) || { echo "$failures failures"; exit 1; }
echo "${#wanted[@]} seeded violations were caught, $((number - 100 - ${#wanted[@]} + 3)) harmless lines were left alone"
