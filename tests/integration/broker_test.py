#!/usr/bin/env python3
"""The real scheduler with a real broker between its dispatcher and its worker: work, output and cancels arrive, a kill -9
loses nothing, and it stops in order, also when the broker is away.

usage: broker_test.py PATH_TO_SCHEDULER rabbitmq|redis_stream ENV_FILE
Exit code 77 where the broker is not up (./dev services up).
"""
import os
import secrets
import signal
import sys
import tempfile
import time

from scheduler_process import Scheduler, wait_for

VARIABLES = {"rabbitmq": "SCHEDULER_TEST_RABBITMQ_URL", "redis_stream": "SCHEDULER_TEST_REDIS_URL"}
NOBODY = {"rabbitmq": "amqp://127.0.0.1:1/", "redis_stream": "redis://127.0.0.1:1"}


def broker_url(variable, env_file):
    if variable in os.environ:
        return os.environ[variable]
    try:
        with open(env_file, encoding="utf-8") as lines:
            return dict(line.rstrip("\n").split("=", 1) for line in lines).get(variable)
    except OSError:
        return None


def settings(kind, url):
    return {"MESSAGE_QUEUE__TYPE": kind, "MESSAGE_QUEUE__URL": url,
            "MESSAGE_QUEUE__PREFIX": "integration-" + secrets.token_hex(4)}


def stop(scheduler, seconds):
    scheduler.process.send_signal(signal.SIGTERM)
    code = scheduler.process.wait(timeout=seconds)
    assert code == 0, f"exit code {code} after SIGTERM"


def works(scheduler):
    scheduler.start()

    def make(name, command):
        return scheduler.call("POST", "/api/tasks", {"name": name, "task_type": "shell", "max_retries": 3,
                                                     "parameters": {"command": command}})["id"]

    def trigger(task):
        return scheduler.call("POST", f"/api/tasks/{task}/trigger", {})["runs"][0]["id"]

    says, sleeps, lasts = make("says", "echo hello"), make("sleeps", "sleep 60"), make("lasts", "sleep 2")
    runs = [trigger(says) for _ in range(50)]
    for run in runs:
        assert scheduler.call("GET", f"/api/runs/{run}?wait=20")["state"] == "succeeded"
    lines = scheduler.call("GET", f"/api/runs/{runs[0]}/logs")["lines"]
    assert [line["text"] for line in lines] == ["hello"], lines

    run = trigger(sleeps)
    wait_for("an attempt that runs", lambda: scheduler.call("GET", f"/api/runs/{run}")["state"] == "running")
    scheduler.call("POST", f"/api/runs/{run}/cancel", {})
    assert scheduler.call("GET", f"/api/runs/{run}?wait=20")["state"] == "cancelled"

    run = trigger(lasts)
    wait_for("an attempt that runs", lambda: scheduler.call("GET", f"/api/runs/{run}")["state"] == "running")
    scheduler.kill()
    scheduler.start()
    wait_for("the end of a run whose worker was killed",
             lambda: scheduler.call("GET", f"/api/runs/{run}")["state"] == "succeeded", seconds=60)
    stop(scheduler, 20)


def main(program, kind, env_file):
    url = broker_url(VARIABLES[kind], env_file)
    if not url:
        print(f"no {kind} server here: run ./dev services up")
        sys.exit(77)
    with tempfile.TemporaryDirectory() as directory:
        scheduler = Scheduler(program, os.path.join(directory, "one"), **settings(kind, url))
        works(scheduler)
        alone = Scheduler(program, os.path.join(directory, "two"), **settings(kind, NOBODY[kind]))
        alone.start()
        began = time.monotonic()
        stop(alone, 30)
        print(f"{kind}: works, survives a kill; stopped without a broker after {time.monotonic() - began:.1f} s")


if __name__ == "__main__":
    main(*sys.argv[1:])
