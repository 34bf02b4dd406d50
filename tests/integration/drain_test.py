#!/usr/bin/env python3
"""Stop the real scheduler while it works: runs may end, people may watch and cancel them, and nothing else is asked to
come here any more.

usage: drain_test.py PATH_TO_SCHEDULER
"""
import os
import signal
import sys
import tempfile
import urllib.error
from concurrent.futures import ThreadPoolExecutor

from scheduler_process import Scheduler, wait_for


def is_stopping(scheduler):
    try:
        scheduler.call("GET", "/health/ready")
    except urllib.error.HTTPError as refusal:
        return refusal.code == 503 and "stopping" in refusal.read().decode()
    return False


def main(program):
    with tempfile.TemporaryDirectory() as directory:
        scheduler = Scheduler(program, os.path.join(directory, "data"))
        scheduler.start()
        task = scheduler.call("POST", "/api/tasks", {"name": "long", "task_type": "shell",
                                                     "parameters": {"command": "sleep 60"}})["id"]
        quick = scheduler.call("POST", "/api/tasks", {"name": "quick", "task_type": "shell",
                                                      "parameters": {"command": "true"}})["id"]
        run = scheduler.call("POST", f"/api/tasks/{task}/trigger", {})["runs"][0]["id"]
        wait_for("the start of the run", lambda: scheduler.call("GET", f"/api/runs/{run}")["state"] == "running")

        ends = scheduler.call("POST", "/api/tasks", {"name": "ends", "task_type": "shell",
                                                     "parameters": {"command": "sleep 1"}})["id"]
        last = scheduler.call("POST", f"/api/tasks/{ends}/trigger", {})["runs"][0]["id"]
        wait_for("the start of the other", lambda: scheduler.call("GET", f"/api/runs/{last}")["state"] == "running")
        waiting = ThreadPoolExecutor().submit(scheduler.call, "GET", f"/api/runs/{last}?wait=8")
        scheduler.process.send_signal(signal.SIGTERM)
        wait_for("the news that it stops", lambda: is_stopping(scheduler))
        assert scheduler.call("GET", f"/api/runs/{run}")["state"] == "running"
        late = scheduler.call("POST", f"/api/tasks/{quick}/trigger", {})["runs"][0]["id"]
        assert waiting.result(timeout=10)["state"] == "succeeded", "who waits for a run is told how it ended"
        assert scheduler.call("POST", f"/api/runs/{run}/cancel", {})["cancel_requested"]
        code = scheduler.process.wait(timeout=20)
        assert code == 0, f"exit code {code} after SIGTERM"

        scheduler.start()
        ended = scheduler.call("GET", f"/api/runs/{run}")
        assert (ended["state"], ended["reason"]) == ("cancelled", "cancelled_by_user"), ended
        kept = scheduler.call("GET", f"/api/runs/{late}?wait=10")
        assert kept["state"] == "succeeded", f"what was asked for during the drain runs after the next start: {kept}"
        scheduler.process.send_signal(signal.SIGTERM)
        assert scheduler.process.wait(timeout=20) == 0
    print("a draining scheduler is watched and told to cancel, and loses nothing")


if __name__ == "__main__":
    main(sys.argv[1])
