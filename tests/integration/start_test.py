#!/usr/bin/env python3
"""What a program does at its start with settings that cannot work, and with a broker that is not there yet: it refuses the
first with a sentence, and waits for the second without filling the log.

usage: start_test.py BIN_DIRECTORY rabbitmq|redis_stream ENV_FILE
Exit code 77 where the broker is not up (./dev services up).
"""
import os
import subprocess
import sys
import tempfile
import time
import urllib.parse

from broker_test import NOBODY, VARIABLES, broker_url

QUIET = 6  # lines that a program without its broker may write in the seconds of this test


def environment(kind, url, **more):
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("SCHEDULER_")}
    return inherited | {"SCHEDULER_MESSAGE_QUEUE__TYPE": kind, "SCHEDULER_MESSAGE_QUEUE__URL": url} | more


def refused(program, directory, because, **settings):
    began = time.monotonic()
    ended = subprocess.run([program, "--data-dir", directory], env=environment(**settings), capture_output=True, text=True,
                           timeout=20, check=False)
    said = ended.stderr.strip().splitlines()[-1]
    assert ended.returncode == 1, (ended.returncode, ended.stderr)
    assert said.startswith(f"{os.path.basename(program)}: cannot start: "), ended.stderr
    for words in because:
        assert words in said, said
    assert "ready" not in ended.stderr and "secret" not in ended.stderr, ended.stderr
    print(f"{said} ({time.monotonic() - began:.1f} s)")


def with_wrong_password(url):
    parts = urllib.parse.urlsplit(url)
    return urllib.parse.urlunsplit(parts._replace(netloc=f"nobody:secret@{parts.hostname}:{parts.port}"))


def waits_quietly(program, directory, kind):
    part = subprocess.Popen([program, "--data-dir", directory], env=environment(kind, NOBODY[kind]),
                            stderr=subprocess.PIPE, text=True)
    time.sleep(8)
    assert part.poll() is None, part.stderr.read()
    part.terminate()
    said = part.communicate(timeout=60)[1]
    assert part.returncode == 0, (part.returncode, said)
    before = said.split("stopping")[0].splitlines()
    assert any(" ready" in line for line in before), said
    assert len(before) <= QUIET, said
    print(f"{os.path.basename(program)} without a broker: {len(before)} lines in 8 s")


def main(programs, kind, env_file):
    url = broker_url(VARIABLES[kind], env_file)
    if not url:
        print(f"no {kind} server here: run ./dev services up")
        sys.exit(77)
    program = {name: os.path.join(programs, f"scheduler-{name}") for name in ("api", "dispatcher", "worker")}
    with tempfile.TemporaryDirectory() as directory:
        refused(program["worker"], directory, ["refuses us", "message_queue.url"], kind=kind, url=with_wrong_password(url))
        for name in ("api", "dispatcher"):
            refused(program[name], directory, ["SQLite", "postgresql://", "`scheduler`"], kind=kind, url=url)
        waits_quietly(program["worker"], directory, kind)


if __name__ == "__main__":
    main(*sys.argv[1:])
