#!/usr/bin/env python3
"""Retry rules and the budget for lost workers, with the real scheduler: what retry_on excludes is not tried again and says so,
Retry-After is waited for, and a run that kills its worker with -9 each time is given up after max_lost_attempts.

usage: retry_test.py PATH_TO_SCHEDULER
"""
import email.utils
import http.server
import os
import sys
import tempfile
import threading
import time

from scheduler_process import Scheduler, wait_for


class Refusing(http.server.BaseHTTPRequestHandler):
    """/STATUS answers that, with Retry-After as a date; and 200 from the second request for a path on."""
    seen = {}

    def do_GET(self):
        status, _, wait = self.path[1:].partition("-")
        first = not Refusing.seen.setdefault(self.path, [])
        Refusing.seen[self.path].append(time.time())
        self.send_response(int(status) if first or not wait else 200)
        if wait:
            self.send_header("Retry-After", email.utils.formatdate(time.time() + int(wait), usegmt=True))
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


def main(program):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Refusing)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with tempfile.TemporaryDirectory() as directory:
        scheduler = Scheduler(program, os.path.join(directory, "data"))
        scheduler.start()

        def trigger(name, task_type, parameters, **fields):
            task = scheduler.call("POST", "/api/tasks", {"name": name, "task_type": task_type, "parameters": parameters,
                                                         "retry_backoff": {"base_seconds": 0.01, "cap_seconds": 0.02}}
                                  | fields)["id"]
            return scheduler.call("POST", f"/api/tasks/{task}/trigger", {})["runs"][0]["id"]

        def end_of(run):
            return scheduler.call("GET", f"/api/runs/{run}?wait=15")

        def url(path):
            return {"url": f"http://127.0.0.1:{server.server_port}/{path}"}

        codes = {"max_retries": 3, "retry_on": {"exit_codes": [75]}}
        other = end_of(trigger("another exit code", "shell", {"command": "exit 3"}, **codes))
        assert (other["state"], other["reason"], other["attempt"]) == ("failed", "exit_code", 1), other
        assert other["message"] == "exited with code 3; not tried again: retry_on.exit_codes does not hold 3", other
        listed = end_of(trigger("an exit code of the list", "shell", {"command": "exit 75"}, **codes))
        assert (listed["attempt"], listed["message"]) == (4, "exited with code 75"), listed
        timeout = end_of(trigger("a timeout", "shell", {"command": "sleep 60"}, timeout_seconds=1, max_retries=3,
                                 retry_on={"reasons": ["exit_code"]}))
        assert (timeout["state"], timeout["attempt"]) == ("timed_out", 1), timeout
        assert timeout["message"].endswith("; not tried again: retry_on.reasons does not name timeout"), timeout
        missing = end_of(trigger("a status", "http", url("404"), max_retries=3, retry_on={"http_statuses": [429, 503]}))
        assert (missing["http_status"], missing["attempt"]) == (404, 1), missing

        for status in (429, 503):
            waited = end_of(trigger(f"retry after {status}", "http", url(f"{status}-3"), max_retries=1,
                                    retry_on={"http_statuses": [429, 503]}))
            assert (waited["state"], waited["attempt"]) == ("succeeded", 2), waited
            first, second = Refusing.seen[f"/{status}-3"]
            assert 1.9 < second - first < 8, f"waited {second - first} s instead of 2 to 3"  # a date has whole seconds

        # Its parent is the worker: here all of the scheduler.
        poison = trigger("poison", "shell", {"command": "kill -9 $PPID; sleep 60"}, max_lost_attempts=2, max_retries=10)
        for life in (1, 2):
            assert scheduler.process.wait(timeout=60) == -9, f"life {life} was not ended by the task"
            scheduler.start()
        ended = wait_for("the end of the poison run", lambda: (
            lambda run: run if run["ended_at"] else None)(scheduler.call("GET", f"/api/runs/{poison}")), seconds=60)
        assert (ended["state"], ended["reason"], ended["lost_attempts"]) == ("failed", "worker_lost", 2), ended
        worker = scheduler.call("GET", "/api/workers")["items"][0]["id"]
        assert ended["message"].endswith(f"; not given to another worker: it has lost 2 of them ({worker}, {worker}), and "
                                         "max_lost_attempts is 2"), ended
        assert scheduler.process.poll() is None
        scheduler.process.terminate()
        assert scheduler.process.wait(timeout=20) == 0
    print("rules, Retry-After and the budget for lost workers hold")


if __name__ == "__main__":
    main(sys.argv[1])
