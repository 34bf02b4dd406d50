#!/usr/bin/env python3
"""Accounts of the real scheduler, from its first second on: nothing is open before there is an account, the setup link works
once, secrets on disk are their owner's alone, weak ones stop the start, and what an admin takes away is gone within five
seconds, for the command line as well.

usage: accounts_test.py PATH_TO_SCHEDULER PATH_TO_SCHEDULER_CLI
"""
import json
import os
import re
import signal
import stat
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

from scheduler_process import Scheduler, wait_for

PLAIN = {k: v for k, v in os.environ.items() if not k.startswith("SCHEDULER_")}
SENTENCE = "a sentence that nobody knows"


def status(url, path, method="GET", body=None, **headers):
    request = urllib.request.Request(url + path, method=method, data=None if body is None else json.dumps(body).encode(),
                                     headers={"Content-Type": "application/json"} | headers)
    try:
        return urllib.request.urlopen(request, timeout=20).status
    except urllib.error.HTTPError as refusal:
        return refusal.code


def refuses_to_start(program, directory, why, **variables):
    ended = subprocess.run([program, "--data-dir", directory, "--bind", "127.0.0.1:0"], env=PLAIN | variables,
                           capture_output=True, text=True, timeout=30)
    assert ended.returncode == 1 and why in ended.stderr, (ended.returncode, ended.stderr)


def first_start(program, data):
    """Without any setting: the process, its URL and the link it prints."""
    process = subprocess.Popen([program, "--data-dir", data, "--bind", "0.0.0.0:0"], env=PLAIN, stderr=subprocess.PIPE,
                               text=True)
    for line in process.stderr:
        if found := re.search(r"'(http://127\.0\.0\.1:\d+)(/auth/setup#[\w-]{43})'", line):
            return process, found[1], found[1] + found[2]
    raise SystemExit("no setup link was printed")


def stop(process):
    process.send_signal(signal.SIGTERM)
    process.stderr.read()
    assert process.wait(timeout=30) == 0


def main(program, command_line):
    with tempfile.TemporaryDirectory() as directory:
        data, home = os.path.join(directory, "data"), os.path.join(directory, "home")

        for weak, why in (("changeme", "at least 12 bytes"), ("ChangeMe-123456", "attackers try first"),
                          ("aaaaaaaaaaaaaaa", "easy to guess"), ("", "is empty")):
            refuses_to_start(program, data, why, SCHEDULER_AUTH__BOOTSTRAP_ADMIN_PASSWORD=weak)
        empty = os.path.join(directory, "empty")
        open(empty, "w", encoding="utf-8").close()
        refuses_to_start(program, data, "is empty", SCHEDULER_AUTH__BOOTSTRAP_ADMIN_PASSWORD_FILE=empty)

        process, url, link = first_start(program, data)
        for path in ("/api/tasks", "/api/runs", "/api/workers", "/api/system/config", "/api/users", "/auth/me"):
            assert status(url, path) == 401, path
        assert status(url, "/api/tasks", "POST", {"name": "n", "task_type": "shell", "parameters": {"command": "id"}}) == 401
        for path in ("/health/ready", "/health/live", "/metrics", "/openapi.json"):
            assert status(url, path) == 200, path
        key_file = os.path.join(data, "keys", "access-tokens.key")
        assert stat.S_IMODE(os.stat(key_file).st_mode) == 0o600

        def cli(*words, **kwargs):
            return subprocess.run([command_line, *words], capture_output=True, text=True, timeout=30, **kwargs,
                                  env=PLAIN | {"HOME": home, "SCHEDULER_API_URL": url, "NO_COLOR": "1"})

        assert cli("task", "list").returncode == 4
        assert cli("system", "ready").returncode == 0
        made = cli("auth", "setup", link, "ada", "--password-file", "-", input=SENTENCE)
        assert made.returncode == 0, made.stderr
        assert cli("auth", "setup", link, "eve", "--password-file", "-", input=SENTENCE).returncode == 5
        kept = os.path.join(home, ".local", "state", "scheduler", "tokens.json")
        assert stat.S_IMODE(os.stat(kept).st_mode) == 0o600
        assert cli("task", "create", "hello", "--type", "shell", "--command", "echo hello").returncode == 0

        # A user changes own tasks alone; a role that is taken away is gone for a key that exists already.
        for name, role in (("bob", "user"), ("op", "operator")):
            assert cli("user", "create", name, "--role", role, "--password-file", "-", input=SENTENCE).returncode == 0
        assert cli("auth", "login", "bob", "--password-file", "-", input=SENTENCE).returncode == 0
        assert cli("task", "trigger", "hello").returncode == 4
        assert cli("user", "list").returncode == 4
        assert cli("task", "create", "own", "--type", "shell", "--command", "true").returncode == 0
        triggered = cli("task", "trigger", "own", "--wait")
        assert triggered.returncode == 0, triggered.stderr
        assert cli("auth", "login", "op", "--password-file", "-", input=SENTENCE).returncode == 0
        key = cli("apikey", "create", "ci", "--permission", "task_write").stdout.strip()
        assert status(url, "/api/tasks/1/pause", "POST", **{"X-API-Key": key}) == 200
        assert status(url, "/api/tasks?api_key=" + key) == 401
        assert cli("auth", "logout").returncode == 0
        assert cli("task", "list").returncode == 4
        assert cli("auth", "login", "ada", "--password-file", "-", input=SENTENCE).returncode == 0
        assert cli("user", "update", "3", "--role", "viewer").returncode == 0
        began = time.monotonic()
        wait_for("the role to be gone", lambda: status(url, "/api/tasks/1/resume", "POST", **{"X-API-Key": key}) == 403, 5)
        print(f"accounts: a role that was taken away was gone after {time.monotonic() - began:.2f} s")
        wrong = cli("auth", "login", "ada", "--password-file", "-", input="wrong")
        assert wrong.returncode == 4 and "not right" in wrong.stderr, wrong.stderr

        # The next start knows the account, prints no link, and the login goes on.
        stop(process)
        again = Scheduler(program, data, AUTH__BOOTSTRAP_ADMIN_PASSWORD="another one that is not used")
        again.api_key = "none"
        again.start()
        url = again.url
        assert status(url, "/auth/login", "POST", {"username": "admin", "password": "another one that is not used"}) == 401
        assert status(url, "/auth/login", "POST", {"username": "ada", "password": SENTENCE}) == 200
        assert status(url, "/api/tasks/1", **{"X-API-Key": key}) == 403  # it was made for writing alone
        again.process.terminate()
        assert again.process.wait(timeout=30) == 0

        os.chmod(key_file, 0o644)
        refuses_to_start(program, data, "can be read by others")
    print("accounts: closed from the first second, one setup link, roles and keys as written")


if __name__ == "__main__":
    main(*sys.argv[1:])
