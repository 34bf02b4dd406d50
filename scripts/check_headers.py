#!/usr/bin/env python3
"""Checks that every header compiles alone, without the precompiled header.

  check_headers.py --build build/lint [--jobs N]

A header that passed is not compiled again until it, a project file it includes, or the compiler's flags change: what it
read is remembered by content in BUILD/headers.json.
"""
import argparse
import concurrent.futures
import hashlib
import json
import os
import pathlib
import shlex
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent


def compiler_command(build):
    """The compiler and flags of the project's own sources, without launcher, input and output."""
    for entry in json.loads((build / "compile_commands.json").read_text()):
        if not entry["file"].startswith(str(ROOT / "src")):
            continue
        words = shlex.split(entry["command"])
        first = next(i for i, word in enumerate(words) if "clang++" in word)
        kept, skip = [], False
        for word in words[first:]:
            if skip:
                skip = False
            elif word in ("-o", "-c", "-MF", "-MT"):
                skip = True
            elif word not in ("-MD", "-MMD"):
                kept.append(word)
        return [*kept, f"-I{ROOT / 'tests'}"]
    sys.exit(f"check_headers: {build} has no commands for src/")


def content(path, known={}):
    if path not in known:
        try:
            known[path] = hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()
        except OSError:
            known[path] = "absent"
    return known[path]


def state(files, command):
    text = "\n".join(f"{f} {content(f)}" for f in sorted(files)) + "\n" + "\n".join(command)
    return hashlib.sha256(text.encode()).hexdigest()


def compile_alone(header, command):
    """(ok, output, project files it read)"""
    with tempfile.TemporaryDirectory() as scratch:
        deps = pathlib.Path(scratch) / "deps"
        wrapper = shlex.split(os.environ.get("SCHEDULER_COMPILE_WRAPPER", ""))
        done = subprocess.run(
            [*wrapper, *command, "-fsyntax-only", "-Wno-pragma-once-outside-header", "-MMD", "-MF", deps, "-MT", "x",
             "-x", "c++", header],
            capture_output=True, text=True, cwd=ROOT)
        read = deps.read_text().replace("\\\n", " ").split()[1:] if deps.exists() else [header]
    inside = {os.path.realpath(os.path.join(ROOT, f)) for f in read}
    return done.returncode == 0, done.stderr, sorted(f for f in inside if f.startswith(str(ROOT)))


def main():
    parser = argparse.ArgumentParser(description="Checks that every header compiles alone.")
    parser.add_argument("--build", type=pathlib.Path, required=True)
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    arguments = parser.parse_args()
    command = compiler_command(arguments.build)
    memory = arguments.build / "headers.json"
    try:
        passed = json.loads(memory.read_text())
    except (OSError, ValueError):
        passed = {}

    headers = sorted(str(p) for d in ("src", "apps", "tests") for p in (ROOT / d).rglob("*.hpp"))
    waiting = [h for h in headers if h not in passed or passed[h]["state"] != state(passed[h]["files"], command)]
    passed = {h: passed[h] for h in headers if h in passed and h not in waiting}
    bad = 0
    with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
        for header, (ok, output, files) in zip(waiting, pool.map(lambda h: compile_alone(h, command), waiting)):
            if ok:
                passed[header] = {"files": files, "state": state(files, command)}
                memory.write_text(json.dumps(passed))  # at once: an interrupted run goes on from here
            else:
                bad += 1
                print(f"{os.path.relpath(header, ROOT)} does not compile alone; remedy: include what it uses\n{output}")
    print(f"  {len(headers)} headers, {len(waiting)} compiled, {bad} bad", file=sys.stderr)
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
