#!/usr/bin/env python3
"""The scheduler as processes of its own over PostgreSQL and a broker, from config/production.toml and files with the URLs:
two APIs, two dispatchers, three workers that know no database. One of each is killed with -9 in the middle; the rest goes
on and the store shows that nothing was lost or doubled.

usage: cluster_test.py BIN_DIRECTORY rabbitmq|redis_stream ENV_FILE
Exit code 77 where the servers are not up (./dev services up).
"""
import sys
import tempfile

from broker_test import VARIABLES, broker_url
from cluster import Cluster
from scheduler_process import wait_for


def check(cluster):
    apis = [cluster.start("api", f"api{n}") for n in (1, 2)]
    for n in (1, 2):
        cluster.start("dispatcher", f"dispatcher{n}")
    for n in (1, 2, 3):
        cluster.start("worker", f"worker{n}")
    api = apis[1]
    wait_for("three workers", lambda: sum(
        worker["state"] == "alive" for worker in api.call("GET", "/api/workers")["items"]) == 3)

    def dispatchers():
        checks = api.call("GET", "/api/system/health")["checks"]
        return next((check["ok"], check["message"]) for check in checks if check["name"] == "dispatchers")

    wait_for("two dispatchers", lambda: dispatchers() == (True, "2 live"))

    def make(body):
        return api.call("POST", "/api/tasks", {"task_type": "shell"} | body)["id"]

    quick = make({"name": "quick", "parameters": {"command": "echo hello"}})
    slow = make({"name": "slow", "parameters": {"command": "sleep 2"}})
    long = make({"name": "long", "parameters": {"command": "sleep 60"}})
    ticks = make({"name": "ticks", "schedule": "* * * * * *", "overlap_policy": "allow", "misfire_policy": "all",
                  "parameters": {"command": "true"}})

    def trigger(task, through=api):
        return through.call("POST", f"/api/tasks/{task}/trigger", {})["runs"][0]["id"]

    first = trigger(quick, apis[0])
    assert apis[0].call("GET", f"/api/runs/{first}?wait=20")["state"] == "succeeded"
    wait_for("its output", lambda: [line["text"] for line in api.call("GET", f"/api/runs/{first}/logs")["lines"]] == ["hello"])

    # A cancel reaches the one worker that has the run.
    stopped = trigger(long)
    wait_for("its start", lambda: api.call("GET", f"/api/runs/{stopped}")["state"] == "running")
    api.call("POST", f"/api/runs/{stopped}/cancel", {})
    assert api.call("GET", f"/api/runs/{stopped}?wait=5")["state"] == "cancelled"

    # One of each is killed while everything runs.
    runs = [trigger(quick, apis[n % 2]) for n in range(100)] + [trigger(slow, apis[n % 2]) for n in range(12)]
    wait_for("work on worker1", lambda: cluster.ask(
        "SELECT count(*) FROM task_runs WHERE worker = 'worker1' AND state = 'running'") != "0")
    for name in ("worker1", "dispatcher1", "api1"):
        cluster.parts[name].kill()
    before = int(cluster.ask(f"SELECT count(*) FROM task_runs WHERE task_id = {ticks} AND state = 'succeeded'"))
    runs += [trigger(quick) for _ in range(20)]
    ids = ",".join(map(str, runs))
    wait_for("the end of every run", lambda: cluster.ask(
        f"SELECT count(*) FROM task_runs WHERE id IN ({ids}) AND ended_at IS NULL") == "0", seconds=60)
    states = cluster.ask(f"SELECT state, count(*) FROM task_runs WHERE id IN ({ids}) GROUP BY state")
    assert states == f"succeeded|{len(runs)}", states
    lost = cluster.ask("SELECT count(*) FROM task_attempts WHERE state = 'lost' AND worker <> 'worker1'")
    assert lost == "0", f"{lost} attempts of living workers count as lost"
    wait_for("more fires", lambda: int(cluster.ask(
        f"SELECT count(*) FROM task_runs WHERE task_id = {ticks} AND state = 'succeeded'")) >= before + 5)
    wait_for("the news that worker1 is dead", lambda: api.call("GET", "/api/workers/worker1")["state"] == "dead")

    api.call("POST", f"/api/tasks/{ticks}/pause", {})
    wait_for("the end of all", lambda: cluster.ask("SELECT count(*) FROM task_runs WHERE ended_at IS NULL") == "0")
    doubled = cluster.ask("SELECT count(*) FROM (SELECT 1 FROM task_runs WHERE slot IS NOT NULL GROUP BY task_id, slot"
                          " HAVING count(*) > 1) d")
    assert doubled == "0", f"{doubled} slots have two runs"
    gaps = cluster.ask(f"SELECT count(*) FROM generate_series((SELECT min(slot) FROM schedule_slots WHERE task_id = {ticks}),"
                       f" (SELECT watermark FROM tasks WHERE id = {ticks}), interval '1 second') s WHERE NOT EXISTS (SELECT"
                       f" 1 FROM schedule_slots d WHERE d.task_id = {ticks} AND s BETWEEN d.first_slot AND d.slot)")
    assert gaps == "0", f"{gaps} slots have no disposition"

    # One was killed long ago, and the other one says that it leaves.
    cluster.parts["dispatcher2"].process.terminate()
    wait_for("health to miss the dispatchers", lambda: not dispatchers()[0])
    return cluster.ask("SELECT count(*) FROM task_runs")


def main(programs, kind, env_file):
    database, broker = broker_url("SCHEDULER_TEST_POSTGRES_URL", env_file), broker_url(VARIABLES[kind], env_file)
    if not database or not broker:
        print(f"skipped: PostgreSQL or {kind} is not up; ./dev services up starts them")
        raise SystemExit(77)
    with tempfile.TemporaryDirectory() as directory:
        cluster = Cluster(programs, directory, database, broker, kind)
        try:
            runs = check(cluster)
        except BaseException:
            print(cluster.ask("SELECT id, task_id, state, attempt, lost_attempts, token, worker, missing_since, due_at"
                              " FROM task_runs WHERE ended_at IS NULL ORDER BY id LIMIT 20"))
            print(cluster.ask("SELECT worker_id, state, state_reason, now() - heartbeat_at, now() FROM workers"))
            raise
        finally:
            codes = cluster.close()
    living = {name: code for name, code in codes.items() if name not in ("worker1", "dispatcher1", "api1")}
    assert set(living.values()) == {0}, f"exit codes after SIGTERM: {living}"
    print(f"{runs} runs over {kind}: none lost, none doubled, one of each process killed")


if __name__ == "__main__":
    main(*sys.argv[1:])
