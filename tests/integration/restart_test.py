#!/usr/bin/env python3
"""kill -9 the real scheduler again and again, start it again, and prove from its database that nothing was lost or
doubled: every run ends, every slot has one disposition, no process of an earlier life survives.

usage: restart_test.py PATH_TO_SCHEDULER
"""
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile

from scheduler_process import Scheduler, wait_for

KILLS = 4
TERMINAL = {"succeeded", "failed", "timed_out", "cancelled", "skipped"}


def processes_with(marker):
    """Process ids whose environment bears the marker."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/environ", "rb") as environment:
                if marker.encode() in environment.read():
                    found.append(int(pid))
        except OSError:
            pass
    return found


def main(program):
    with tempfile.TemporaryDirectory() as directory:
        marker = f"RESTART_TEST={os.path.basename(directory)}"
        name, value = marker.split("=")
        scheduler = Scheduler(program, os.path.join(directory, "data"))
        scheduler.start()

        # Whatever data_dir says: the same file never has two dispatchers.
        second = subprocess.run([program, "--data-dir", os.path.join(directory, "other"), "--bind", "127.0.0.1:0"],
                                env=os.environ | {"SCHEDULER_DATABASE__URL": f"sqlite:{directory}/data/scheduler.db"},
                                capture_output=True, text=True, timeout=20)
        assert second.returncode == 1 and "already runs" in second.stderr, (second.returncode, second.stderr)

        def make(body):
            body["parameters"]["environment"] = {name: value}
            return scheduler.call("POST", "/api/tasks", body)["id"]

        # Who asks for the output right after the end sees it.
        says = make({"name": "says", "task_type": "shell", "parameters": {"command": "echo hello"}})
        for _ in range(5):
            run = scheduler.call("POST", f"/api/tasks/{says}/trigger", {})["runs"][0]["id"]
            assert scheduler.call("GET", f"/api/runs/{run}?wait=10")["state"] == "succeeded"
            lines = scheduler.call("GET", f"/api/runs/{run}/logs")["lines"]
            assert [line["text"] for line in lines] == ["hello"], lines

        every_second = make({"name": "every second", "task_type": "shell", "schedule": "* * * * * *",
                             "overlap_policy": "allow", "misfire_policy": "all", "parameters": {"command": "sleep 0.3"}})
        long = make({"name": "long", "task_type": "shell", "max_retries": 1,
                     "parameters": {"command": "setsid sleep 1.5 & sleep 1; exit 0"}})
        once = make({"name": "once", "task_type": "shell", "delivery": "at_most_once",
                     "parameters": {"command": "sleep 1"}})
        fresh = make({"name": "fresh", "task_type": "shell", "delivery": "at_most_once",
                      "parameters": {"command": "true"}})
        acknowledged = []
        for life in range(1, KILLS + 1):
            for task in (long, once):
                for _ in range(3):
                    made = scheduler.call("POST", f"/api/tasks/{task}/trigger", {})
                    acknowledged += [run["id"] for run in made["runs"]]
            wait_for("something running", lambda: scheduler.call("GET", "/api/runs?state=running")["items"])
            wait_for("a fire in this life", lambda: len(
                scheduler.call("GET", f"/api/tasks/{every_second}/runs")["items"]) >= 2 * life)
            scheduler.kill()
            scheduler.start()
            # The first work after a crash is not sent to the worker that was killed.
            run = scheduler.call("POST", f"/api/tasks/{fresh}/trigger", {})["runs"][0]["id"]
            ended = scheduler.call("GET", f"/api/runs/{run}?wait=10")
            assert ended["state"] == "succeeded", ended

        scheduler.call("POST", f"/api/tasks/{every_second}/pause", {})
        wait_for("the end of every run", lambda: not any(
            scheduler.call("GET", f"/api/runs?state={state}")["items"]
            for state in ("waiting", "pending", "dispatched", "running")), seconds=60)
        wait_for("the end of every process", lambda: not processes_with(marker))
        # What the program says about itself; below, its tables say the same.
        audit = subprocess.run([os.path.join(os.path.dirname(program), "scheduler-cli"), "schedule", "audit", "every second"],
                               env=os.environ | {"SCHEDULER_API_URL": scheduler.url,
                                                  "SCHEDULER_API_KEY": scheduler.api_key}, capture_output=True, text=True, timeout=20)
        assert audit.returncode == 0 and "no gap, no double" in audit.stderr, (audit.returncode, audit.stderr)
        scheduler.process.send_signal(signal.SIGTERM)
        code = scheduler.process.wait(timeout=20)
        assert code == 0, f"exit code {code} after SIGTERM"

        database = sqlite3.connect(os.path.join(directory, "data", "scheduler.db"))
        runs = {row[0]: row[1:] for row in database.execute("SELECT id, state, reason, task_id, attempt FROM task_runs")}
        lost = [run for run in acknowledged if run not in runs]
        assert not lost, f"acknowledged runs are gone: {lost}"
        assert {run[0] for run in runs.values()} <= TERMINAL, runs
        for run, (state, reason, task, attempt) in runs.items():
            if task == once:
                assert attempt == 1, f"run {run} is at_most_once and had {attempt} attempts"
                assert state == "succeeded" or reason == "worker_lost", (run, state, reason)
            if task == long:
                assert state == "succeeded", f"run {run} of a task that always succeeds ended {state} ({reason})"
        slots = list(database.execute("SELECT first_slot, slot, run_id FROM schedule_slots"
                                      " WHERE task_id = ? ORDER BY slot", (every_second,)))
        for (_, last, _), (first, _, _) in zip(slots, slots[1:]):
            assert first == last + 1_000_000, f"slots {last} and {first} (microseconds) do not follow each other"
        fired = [run for _, _, run in slots if run is not None]
        assert len(fired) == len(set(fired)) > KILLS, slots
        print(f"{KILLS} kills: {len(runs)} runs ended, {len(slots)} slots without gap or double")


if __name__ == "__main__":
    main(sys.argv[1])
