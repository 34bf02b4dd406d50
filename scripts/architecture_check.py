#!/usr/bin/env python3
"""Checks that the code keeps the house plan (docs/ARCHITECTURE.md).

  architecture_check.py [--root DIR]

The arrows between rooms are read from cmake/SchedulerModule.cmake; everything else that is allowed or refused is in the
tables below, each exception with its reason. Comments and texts in quotes are not looked at. A violation prints as

  src/domain/retry.cpp:12: [pure] names a clock: ...; remedy: ...

Exit status: 0 clean, 1 violations, 2 the check itself could not run.
"""
import argparse
import pathlib
import re
import sys

# --- tables ---

# Rooms that see the world only through ports, so that a simulation can run them.
PURE = {"domain", "application", "dispatcher", "worker"}

# Third-party headers: the rooms whose .cpp files wrap them. Longest prefix counts.
WRAPPED_BY = {
    "sqlite3.h": {"database"},
    "libpq-fe.h": {"database"},
    "curl/": {"infrastructure", "cli"},
    "toml++/": {"config"},
    "CLI/": {"cli", "apps"},
    "spdlog/": {"infrastructure"},
    "prometheus/": {"infrastructure"},
    "date/": {"infrastructure"},
    "hiredis/": {"infrastructure"},
    "amqp": {"infrastructure"},
    "sodium": {"infrastructure"},
    "zlib.h": {"infrastructure", "api"},
    "fmt/": None,  # anywhere
    "boost/asio/": {"core", "database", "infrastructure", "api", "cli", "apps"},
    "boost/asio/awaitable.hpp": None,  # core/async.hpp is made of it
    "boost/asio/use_awaitable.hpp": None,
    "boost/beast": {"api"},
    "boost/json": {"core", "infrastructure", "api", "cli"},
    "boost/json/fwd.hpp": {"core", "infrastructure", "api", "cli"},
    "boost/describe": {"core"},
    "boost/mp11": {"core"},
    "boost/": set(),
    "gtest/": set(),
    "gmock/": set(),
    "benchmark/": set(),
}

# No header shows a third-party header (they cost seconds in every file that includes them), except these.
SHOWN_IN_HEADERS = {
    ("core/async.hpp", "boost/asio/awaitable.hpp"): "the coroutine type itself",
    ("core/json_reader.hpp", "boost/"): "reads described structs by template; only .cpp files include it",
    ("api/http_session.hpp", "boost/asio/"): "a session is its socket and deadline; seen by http_server.cpp alone",
    ("infrastructure/rabbitmq/amqp_text.hpp", "amqp"): "one conversion of text; seen by the adapter's .cpp files",
    ("infrastructure/store/paging_sql.hpp", "fmt/"): "SQL text by template; seen by the repositories' .cpp files",
}

# Headers made to be shown: they only name types.
LIGHT = {"boost/json/fwd.hpp"}

# Who may write try, catch and throw: where a library throws, its adapter converts at its own edge.
MAY_CATCH_ROOMS = {"infrastructure", "database", "config", "api", "cli", "apps"}
MAY_CATCH_FILES = {
    "core/async.cpp": "an exception that leaves a coroutine ends the process with its name in the log",
    "core/json_reader.cpp": "Boost.JSON throws when memory is short",
}

# Inside core, what the domain may not see: it decides, others wait, log and draw.
NOT_FOR_DOMAIN = {"async", "log", "clock", "timer", "random", "task_group", "stop", "json_reader", "circuit", "circuit_breaker"}

SYSTEM_HEADERS = (  # of the standard library and of POSIX: the world itself
    r"thread|mutex|shared_mutex|condition_variable|future|semaphore|latch|barrier|stop_token|random|fstream|iostream|"
    r"filesystem|ctime|csignal|unistd\.h|fcntl\.h|signal\.h|poll\.h|netdb\.h|pthread\.h|time\.h|sys/.*|arpa/.*|netinet/.*"
)

# (rooms, pattern, rule, what is wrong, remedy). Patterns see code without comments and quoted texts.
TOKENS = [
    (PURE, r"\b(?:system_clock|steady_clock|high_resolution_clock|utc_clock)\b", "pure",
     "names a clock", "take the instant as an argument, or ask the Clock port"),
    (PURE, r"::now\s*\(", "pure", "reads a clock", "take the instant as an argument, or ask the Clock port"),
    (PURE, r"\b(?:random_device|mt19937\w*|default_random_engine)\b|(?<![\w.>:])s?rand\s*\(|\bstd::s?rand\s*\(", "pure",
     "draws random numbers", "use the Random port (core/random.hpp), or take the dice as an argument"),
    (PURE, r"\b(?:sleep_for|sleep_until|usleep|nanosleep)\b", "pure", "sleeps",
     "await Timer::sleep (core/timer.hpp)"),
    (PURE, r"\bstd::(?:j?thread|mutex|recursive_mutex|shared_mutex|lock_guard|unique_lock|scoped_lock|"
           r"condition_variable\w*|async|future|promise|this_thread)\b", "pure",
     "uses threads or locks", "everything here runs on one loop; spawn a coroutine in a TaskGroup"),
    (PURE, r"\bstd::(?:cout|cerr|clog|cin)\b|(?<![\w.>])(?:std::)?(?:f?printf|puts)\s*\(", "pure",
     "writes to the terminal", "use core/log.hpp, or return a value"),
    ({"errors", "core", "domain", "application", "dispatcher", "worker", "api", "database"},
     r"\b(?:secure_)?getenv\b", "environment",
     "reads the environment", "settings come in as src/config structs"),
    ({"errors", "core", "domain", "application", "dispatcher", "worker", "api", "database", "config", "cli", "apps"},
     r"\bsystem_clock::now\s*\(", "clock",
     "reads the wall clock", "use the Clock port; only infrastructure/system_clock.cpp reads it"),
    ({"domain"}, r"\bco_(?:await|return|yield)\b|\bAsync<|\basio::", "pure",
     "is a coroutine", "decide in a plain function; the caller awaits"),
    ({"domain"}, r"\blog::(?:debug|info|warning|error|write)\b", "pure",
     "logs", "return what happened; the caller logs"),
]

# Words that have another name here (docs/ARCHITECTURE.md, words), as parts of identifiers, where no library brings them.
WORD_ROOMS = {"core", "domain", "application", "dispatcher", "worker", "api", "cli"}
WORDS = {"job": "task", "jobs": "tasks", "node": "worker", "nodes": "workers"}
WHOLE_WORDS = {"next_run": "next_fire_at, or slot", "late_job": "misfire"}
TYPE_SUFFIX = re.compile(r"\b(?:class|struct|enum(?:\s+class)?)\s+(\w*(?:Manager|Helper|Util|Utils|Processor))\b")

# --- reading ---

QUOTED = re.compile(
    r'R"(?P<delim>[^()\\\s]{0,16})\((?:.|\n)*?\)(?P=delim)"'
    r'|"(?:\\.|[^"\\\n])*"'
    r"|(?<![0-9a-fA-F])'(?:\\.|[^'\\\n])+'"
    r"|//[^\n]*|/\*(?:.|\n)*?\*/"
)


def code_of(text):
    """`text` with comments and quoted texts blanked, line by line as before."""
    return QUOTED.sub(lambda m: '""' + "\n" * m.group().count("\n"), text)


def without_comments(text):
    return QUOTED.sub(lambda m: "\n" * m.group().count("\n") if m.group().startswith("/") else m.group(), text)


class Tree:
    def __init__(self, root):
        self.root = root
        self.violations = []

    def report(self, path, line, rule, what, remedy):
        self.violations.append(f"{path.relative_to(self.root)}:{line}: [{rule}] {what}; remedy: {remedy}")


def arrows(tree):
    """room -> rooms it may use directly, from the CMake table."""
    table = tree.root / "cmake/SchedulerModule.cmake"
    try:
        text = table.read_text()
    except OSError as e:
        sys.exit(f"architecture check: cannot read {table}: {e.strerror}")
    found = {m[1]: m[2].replace('"', "").split() for m in re.finditer(r"set\(SCHEDULER_ARROWS_(\w+)\s*([^)]*)\)", text)}
    if not found:
        print(f"architecture check: {table} has no SCHEDULER_ARROWS_ rows", file=sys.stderr)
        sys.exit(2)
    for room, uses in found.items():
        for used in uses:
            if used not in found:
                tree.report(table, line_of(text, f"SCHEDULER_ARROWS_{room}"), "arrows",
                            f"'{room}' points to '{used}', which has no row", "add the row, or correct the name")
    return found


def line_of(text, needle):
    return text[: text.index(needle)].count("\n") + 1


def reach(table, tree):
    """room -> every room it may use; reports cycles."""
    closed = {}

    def visit(room, path):
        if room in path:
            cycle = " -> ".join(path[path.index(room):] + [room])
            tree.report(tree.root / "cmake/SchedulerModule.cmake", 1, "cycle", f"the arrows form a cycle: {cycle}",
                        "turn one arrow round: put an interface into the lower room")
            return set()
        if room not in closed:
            uses = set()
            for used in table.get(room, []):
                uses |= {used} | visit(used, path + [room])
            closed[room] = uses
        return closed[room]

    for room in table:
        visit(room, [])
    return closed


# --- checks ---

def check_include(tree, path, number, name, quoted, room, may_use, rooms):
    inside = path.relative_to(tree.root / ("src" if room != "apps" else ".")).as_posix()
    is_header = path.suffix == ".hpp"
    if quoted:
        target = name.split("/")[0]
        if "/" not in name or target not in rooms:
            if room != "apps":
                tree.report(path, number, "include", f'"{name}" does not begin with a room',
                            'write the path from src/, e.g. #include "core/time.hpp"')
        elif target != room and target not in may_use:
            tree.report(path, number, "arrows", f"'{room}' may not use '{target}' ({name})",
                        "move the code to the room that owns it, or go through a port in application/ports; "
                        "the arrows are in cmake/SchedulerModule.cmake")
        elif room == "domain" and target == "core" and pathlib.PurePath(name).stem in NOT_FOR_DOMAIN:
            tree.report(path, number, "pure", f"the domain decides without {name}",
                        "take what is needed as an argument; the caller awaits, logs and draws")
        return

    if room in PURE and re.fullmatch(SYSTEM_HEADERS, name):
        tree.report(path, number, "pure", f"<{name}> brings the world into '{room}'",
                    "use a port (core/clock.hpp, core/timer.hpp, core/random.hpp, application/ports)")
        return
    prefix = max((p for p in WRAPPED_BY if name.startswith(p)), key=len, default=None)
    if prefix is None:
        return
    owners = WRAPPED_BY[prefix]
    if room == "domain" and not name.startswith("fmt/"):
        tree.report(path, number, "pure", f"<{name}> in the domain", "the domain uses the standard library and fmt only")
    elif owners is not None and room not in owners:
        where = ", ".join(sorted(owners)) or "no room of src"
        tree.report(path, number, "third-party", f"<{name}> belongs to {where}, not to '{room}'",
                    "call the room that wraps it, or add the room to the table with a reason")
    elif is_header and room != "apps" and name not in LIGHT and not any(
            inside == file and name.startswith(shown) for file, shown in SHOWN_IN_HEADERS):
        tree.report(path, number, "header", f"a header shows <{name}>",
                    "include it in the .cpp and forward-declare here; exceptions are listed with a reason")


def check_file(tree, path, room, may_use, rooms):
    inside = path.relative_to(tree.root).as_posix().removeprefix("src/")
    text = path.read_text(encoding="utf-8", errors="replace")
    for number, line in enumerate(without_comments(text).splitlines(), 1):
        if m := re.match(r'\s*#\s*include\s*(?:"([^"]+)"|<([^>]+)>)', line):
            check_include(tree, path, number, m[1] or m[2], bool(m[1]), room, may_use, rooms)
    if path.suffix == ".hpp" and not re.search(r"^#pragma once$", text, re.M):
        tree.report(path, 1, "header", "has no #pragma once", "add it after the opening comment")

    may_catch = room in MAY_CATCH_ROOMS or inside in MAY_CATCH_FILES
    for number, line in enumerate(code_of(text).splitlines(), 1):
        if line.lstrip().startswith("#include"):
            continue
        for where, pattern, rule, what, remedy in TOKENS:
            if room in where and re.search(pattern, line):
                tree.report(path, number, rule, f"'{room}' {what}: {line.strip()[:60]}", remedy)
        if not may_catch and (m := re.search(r"\b(try|catch|throw)\b", line)):
            tree.report(path, number, "exceptions", f"'{m[1]}' in '{room}'",
                        "return SchedulerResult; only the adapter of a library that throws may catch")
        if m := TYPE_SUFFIX.search(line):
            tree.report(path, number, "words", f"'{m[1]}' does not say what it is", "find the noun: what does it hold or do?")
        if room in WORD_ROOMS:
            check_words(tree, path, number, line)


def check_words(tree, path, number, line):
    for identifier in set(re.findall(r"\b[A-Za-z_]\w*\b", line)):
        parts = [p.lower() for p in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", identifier)]
        for part in parts:
            if part in WORDS:
                tree.report(path, number, "words", f"'{identifier}': we do not say '{part}'", f"say '{WORDS[part]}'")
        if identifier.rstrip("_") in WHOLE_WORDS:
            tree.report(path, number, "words", f"we do not say '{identifier}'", f"say {WHOLE_WORDS[identifier.rstrip('_')]}")


def check_links(tree, room, may_use, rooms):
    """CMake links of a room follow the arrows, and every source file is listed."""
    folder = tree.root / "src" / room
    listed = ""
    for lists in sorted(folder.rglob("CMakeLists.txt")):
        text = re.sub(r"#[^\n]*", "", lists.read_text())
        listed += text
        for number, line in enumerate(text.splitlines(), 1):
            for target in re.findall(r"scheduler::(\w+)", line):
                # A room may be cut into several libraries: infrastructure_base belongs to infrastructure.
                owner = max((r for r in rooms if target == r or target.startswith(r + "_")), key=len, default=None)
                if owner != room and owner not in may_use:
                    tree.report(lists, number, "arrows", f"'{room}' may not link scheduler::{target}",
                                "the arrows are in cmake/SchedulerModule.cmake")
            if re.search(r"\bfile\s*\(\s*GLOB", line):
                tree.report(lists, number, "build", "sources are globbed", "list them: a new file shows in the review")
    for source in sorted(folder.rglob("*.cpp")):
        if not re.search(rf"(?<![\w-]){re.escape(source.name)}\b", listed):
            tree.report(source, 1, "build", "is in no CMakeLists.txt of its room, so nobody compiles it",
                        f"list it in src/{room}/CMakeLists.txt, or delete it")


def main():
    parser = argparse.ArgumentParser(description="Checks that the code keeps the house plan.")
    parser.add_argument("--root", type=pathlib.Path, default=pathlib.Path(__file__).resolve().parent.parent)
    tree = Tree(parser.parse_args().root.resolve())
    table = arrows(tree)
    closed = reach(table, tree)
    rooms = set(table)
    count = 0
    for folder in sorted(p for p in (tree.root / "src").iterdir() if p.is_dir()):
        if folder.name not in rooms:
            tree.report(folder, 1, "arrows", f"src/{folder.name} is no room of the house plan",
                        "add it to cmake/SchedulerModule.cmake and docs/ARCHITECTURE.md, or move its files")
            continue
        check_links(tree, folder.name, closed[folder.name], rooms)
        for path in sorted(folder.rglob("*.[ch]pp")):
            check_file(tree, path, folder.name, closed[folder.name], rooms)
            count += 1
    for path in sorted((tree.root / "apps").rglob("*.[ch]pp")):
        check_file(tree, path, "apps", rooms, rooms)
        count += 1
    for violation in tree.violations:
        print(violation)
    if tree.violations:
        print(f"architecture check: {len(tree.violations)} violations in {count} files", file=sys.stderr)
        sys.exit(1)
    print(f"architecture check: {count} files keep the house plan", file=sys.stderr)


if __name__ == "__main__":
    main()
