#!/usr/bin/env python3
"""The real scheduler over a PostgreSQL server of its own: kill -9 the scheduler, then restart the server under it, and
prove from the database that nothing was lost or doubled.

usage: postgres_test.py PATH_TO_SCHEDULER PATH_TO_SERVICES_SH; exit status 77: no PostgreSQL is installed
"""
import os
import subprocess
import sys
import tempfile
import time

from private_servers import Servers, even_while_away, missing
from scheduler_process import Scheduler, wait_for


def check(server, scheduler):
    scheduler.start()
    second = subprocess.run([scheduler.program, "--data-dir", scheduler.data_dir, "--bind", "127.0.0.1:0"],
                            env=scheduler.environment, capture_output=True, text=True, timeout=30)
    assert second.returncode == 1 and "already runs" in second.stderr, (second.returncode, second.stderr)
    assert server.urls["postgres"].split(":")[2].split("@")[0] not in second.stderr, "the password is in a message"

    task = scheduler.call("POST", "/api/tasks", {"name": "every second", "task_type": "shell", "schedule": "* * * * * *",
                                                 "overlap_policy": "allow", "misfire_policy": "all",
                                                 "parameters": {"command": "sleep 0.2"}})["id"]
    long = scheduler.call("POST", "/api/tasks", {"name": "long", "task_type": "shell", "max_retries": 1,
                                                 "parameters": {"command": "sleep 2"}})["id"]

    def succeeded():
        return int(server.ask(f"SELECT count(*) FROM task_runs WHERE task_id = {task} AND state = 'succeeded'"))

    wait_for("two fires", lambda: succeeded() >= 2)
    acknowledged = [run["id"] for run in scheduler.call("POST", f"/api/tasks/{long}/trigger", {})["runs"]]
    wait_for("something running", lambda: scheduler.call("GET", "/api/runs?state=running")["items"])
    scheduler.kill()
    scheduler.start()
    before = wait_for("fires after kill -9", lambda: (n := succeeded()) >= 4 and n)

    acknowledged += [run["id"] for run in scheduler.call("POST", f"/api/tasks/{long}/trigger", {})["runs"]]
    server.down()
    time.sleep(1)  # an outage takes time
    server.up()
    wait_for("fires after the restart of the server", even_while_away(lambda: succeeded() >= before + 3))
    assert scheduler.process.poll() is None, "the scheduler ended"

    wait_for("a pause", even_while_away(lambda: scheduler.call("POST", f"/api/tasks/{task}/pause", {})))
    wait_for("the end of every run", lambda: server.ask("SELECT count(*) FROM task_runs WHERE ended_at IS NULL") == "0",
             seconds=90)
    states = server.ask(f"SELECT string_agg(DISTINCT state, ',') FROM task_runs WHERE id IN ({','.join(map(str, acknowledged))})")
    assert states == "succeeded", states
    doubled = server.ask("SELECT count(*) FROM (SELECT slot FROM task_runs WHERE slot IS NOT NULL GROUP BY task_id, slot"
                         " HAVING count(*) > 1) d")
    assert doubled == "0", f"{doubled} slots have two runs"
    gaps = server.ask(f"SELECT count(*) FROM generate_series((SELECT min(slot) FROM schedule_slots WHERE task_id = {task}),"
                      f" (SELECT watermark FROM tasks WHERE id = {task}), interval '1 second') s WHERE NOT EXISTS (SELECT 1"
                      f" FROM schedule_slots d WHERE d.task_id = {task} AND s BETWEEN d.first_slot AND d.slot)")
    assert gaps == "0", f"{gaps} slots have no disposition"
    print(f"{server.ask('SELECT count(*) FROM task_runs')} runs, none lost, none doubled")


def main(program, services):
    if missing(["postgres"]):
        print("skipped: PostgreSQL 15 is not installed; ./dev services up brings it")
        raise SystemExit(77)
    with tempfile.TemporaryDirectory() as directory:
        os.chmod(directory, 0o755)  # the server's own user works below it
        server = Servers(services, os.path.join(directory, "server"), "postgres")
        scheduler = Scheduler(program, os.path.join(directory, "data"), DATABASE__URL=server.urls["postgres"])
        try:
            check(server, scheduler)
        finally:
            if scheduler.process and scheduler.process.poll() is None:
                scheduler.kill()
            server.down()


main(*sys.argv[1:])
