#!/usr/bin/env python3
"""Every answer to "why has it not started" and "why did it end so", produced in a running cluster: each code of the API's
description is seen at least once, with a sentence, and with what it is about.

usage: why_test.py BIN_DIRECTORY rabbitmq|redis_stream ENV_FILE OPENAPI_YAML
Exit code 77 where the servers are not up (./dev services up).
"""
import datetime
import signal
import sys
import tempfile

import yaml

from broker_test import VARIABLES, broker_url
from cluster import Cluster
from outage_test import behind_proxy
from scheduler_process import wait_for


class Asker:
    def __init__(self, api):
        self.api, self.seen = api, {}

    def task(self, name, task_type="shell", command=None, **fields):
        body = {"name": name, "task_type": task_type} | fields
        if command:
            body["parameters"] = {"command": command}
        return self.api.call("POST", "/api/tasks", body)["id"]

    def run(self, task):
        return self.api.call("POST", f"/api/tasks/{task}/trigger", {})["runs"][0]["id"]

    def gates(self, path):
        answer = self.api.call("GET", path)
        for gate in answer["gates"]:
            assert gate["sentence"], gate
            self.seen.setdefault(gate["code"], gate["sentence"])
        assert answer.get("answer", answer["gates"][0]["sentence"]) == answer["gates"][0]["sentence"], answer
        return {gate["code"]: gate for gate in answer["gates"]}

    def why(self, run, code):
        """Waits until this is one of the gates of the run, and gives it."""
        return wait_for(f"'{code}' of run {run}", lambda: self.gates(f"/api/runs/{run}/why").get(code), seconds=40)

    def explain(self, task, code):
        return wait_for(f"'{code}' of task {task}", lambda: self.gates(f"/api/tasks/{task}/explain").get(code), seconds=40)

    def runs(self, task, state=None):
        query = f"/api/tasks/{task}/runs?limit=100" + (f"&state={state}" if state else "")
        return [run["id"] for run in self.api.call("GET", query)["items"]]


def soon(seconds):
    return (datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=seconds)).strftime("@at %Y-%m-%dT%H:%M:%SZ")


def nobody_fires(ask):
    """Only the API runs."""
    by_hand = ask.task("by hand", command="true")
    ask.explain(by_hand, "no_trigger")
    ask.explain(ask.task("after it", command="true", dependencies=[by_hand]), "after_upstreams")
    ask.explain(ask.task("paused", command="true", schedule="@yearly", status="paused"), "task_paused")
    assert ask.explain(ask.task("yearly", command="true", schedule="@yearly"), "not_due")["opens_at"]
    once = ask.task("once", command="true", schedule=soon(2))
    ask.explain(once, "not_fired")
    late = ask.task("late", command="true", schedule=soon(2), misfire_policy="skip", misfire_grace_seconds=0)
    ask.explain(late, "not_fired")
    ask.why(ask.run(by_hand), "no_worker")
    return once, late


def no_worker_fits(ask, worker):
    """One worker, for shell and without labels, with one slot."""
    url = {"url": ask.api.url + "/no/such/page"}
    page = ask.run(ask.task("a page", "http", parameters=url))
    ask.why(page, "no_worker_for_type")
    ask.why(ask.run(ask.task("on a gpu", command="true", worker_labels={"gpu": "yes"})), "no_worker_for_labels")
    long = ask.task("long", command="sleep 60")
    held = [ask.run(long) for _ in range(30)]
    first = held[0]
    assert ask.why(first, "running")["workers"] == [worker]
    wait_for("a run that waits in the worker", lambda: any("waiting_for_slot" in ask.gates(f"/api/runs/{run}/why")
                                                           for run in held))
    ask.why(held[-1], "slots_busy")
    for run in held:
        ask.api.call("POST", f"/api/runs/{run}/cancel", {})
    ask.why(first, "cancelled_by_user")
    ask.api.call("POST", f"/api/workers/{worker}/drain", {})
    waits = ask.run(long)
    ask.why(waits, "workers_draining")
    ask.api.call("POST", f"/api/runs/{waits}/cancel", {})
    ask.api.call("POST", f"/api/workers/{worker}/undrain", {})
    return page


def ends(ask):
    ask.why(ask.run(ask.task("good", command="true")), "ended_well")
    bad = ask.task("bad", command="exit 3")
    child = ask.task("after bad", command="true", dependencies=[bad])
    ask.why(ask.run(bad), "exit_code")
    ask.why(wait_for("the skipped run", lambda: ask.runs(child))[0], "dependency_failed")
    ask.why(ask.run(ask.task("killed", command="kill -9 $$")), "signal")
    ask.why(ask.run(ask.task("slow", command="sleep 60", timeout_seconds=1)), "timeout")
    nowhere = ask.task("nowhere", parameters={"command": "true", "working_directory": "/no/such/directory"})
    ask.why(ask.run(nowhere), "executor_error")
    again = ask.run(ask.task("again", command="exit 1", max_retries=1,
                             retry_backoff={"base_seconds": 60, "factor": 1, "cap_seconds": 60}))
    assert ask.why(again, "backoff")["opens_at"]


def skipped_slots(ask, cluster):
    """What `task explain` says where the latest fire time made no run."""
    forbidding = ask.task("one only", command="sleep 20", schedule="* * * * * *", overlap_policy="forbid")
    assert ask.explain(forbidding, "overlapped")["evidence"]
    ask.api.call("POST", f"/api/tasks/{forbidding}/pause", {})
    resting = ask.task("resting", command="true", schedule="*/2 * * * * *")
    ask.api.call("POST", f"/api/tasks/{resting}/pause", {})
    wait_for("its fire time to pass", lambda: ask.api.call("GET", f"/api/tasks/{resting}/slots")["audit"]["undecided"])
    ask.api.call("POST", f"/api/tasks/{resting}/resume", {})
    ask.explain(resting, "paused")
    ask.api.call("POST", f"/api/tasks/{resting}/pause", {})
    zone = ask.task("zone", command="true", schedule="* * * * * *", timezone="Europe/Berlin")
    cluster.ask(f"UPDATE tasks SET timezone = 'Europe/Atlantis' WHERE id = {zone}")
    ask.explain(zone, "set_aside")
    for run in ask.runs(forbidding, "running"):
        ask.api.call("POST", f"/api/runs/{run}/cancel", {})


def others(ask):
    """What a run waits for beside time and earlier runs, and what is wrong with outputs."""
    upstream = ask.task("upstream", command="true")
    after = ask.task("waits for it", command="true", schedule="* * * * * *", dependencies=[upstream])
    waiting = wait_for("a run that waits for an upstream run", lambda: ask.runs(after, "waiting"))[0]
    ask.why(waiting, "dependency")
    ask.api.call("POST", f"/api/tasks/{after}/pause", {})
    limited = ask.task("limited", command="sleep 20", max_concurrent_runs=1)
    first, second = ask.run(limited), ask.run(limited)
    assert ask.why(second, "limit")["evidence"] == [f"/api/runs/{first}"]
    for run in (second, first, *ask.runs(after, "waiting")):
        ask.api.call("POST", f"/api/runs/{run}/cancel", {})
    ask.why(ask.run(ask.task("no object", command="echo 1 > $SCHEDULER_OUTPUT")), "output_invalid")
    silent = ask.task("silent", command="true")
    asks = ask.task("asks for more", dependencies=[silent],
                    parameters={"command": "echo", "args": ["${upstream.silent.rows}"]})
    ask.run(silent)
    ask.why(wait_for("the run that asks for more", lambda: ask.runs(asks))[0], "output_missing")


def overlaps(ask):
    queued = ask.task("one at a time", command="sleep 20", schedule="* * * * * *", overlap_policy="queue_one")
    waiting = wait_for("a waiting run", lambda: ask.runs(queued, "waiting"))[0]
    assert ask.why(waiting, "overlap")["runs"]
    ask.api.call("POST", f"/api/tasks/{queued}/pause", {})
    newest = ask.task("the newest", command="sleep 20", schedule="* * * * * *", overlap_policy="replace")
    replaced = wait_for("a replaced run", lambda: ask.runs(newest, "cancelled"))[0]
    ask.why(replaced, "overlapped")
    ask.api.call("POST", f"/api/tasks/{newest}/pause", {})
    for task in (queued, newest):
        for state in ("waiting", "pending", "dispatched", "running"):
            for run in ask.runs(task, state):
                ask.api.call("POST", f"/api/runs/{run}/cancel", {})


def nobody_answers(ask, cluster, long):
    dispatcher, worker = cluster.parts["dispatcher"].process, cluster.parts["w1"].process
    held = ask.run(long)
    ask.why(held, "running")
    dispatcher.send_signal(signal.SIGSTOP)
    ask.why(ask.run(long), "not_dispatched")
    worker.send_signal(signal.SIGSTOP)
    ask.why(held, "worker_silent")
    ask.api.call("POST", f"/api/runs/{held}/cancel", {})
    ask.why(held, "cancelling")
    worker.send_signal(signal.SIGCONT)
    dispatcher.send_signal(signal.SIGCONT)
    ask.why(held, "cancelled_by_user")


def workers_go(ask, cluster):
    once = {"command": "sleep 60", "delivery": "at_most_once"}
    lost = ask.run(ask.task("lost", **once, worker_labels={"doomed": "yes"}))
    cluster.start("worker", "doomed", WORKER__LABELS="doomed=yes")
    ask.why(lost, "running")
    cluster.parts.pop("doomed").kill()
    assert ask.why(lost, "worker_lost")["workers"] == ["doomed"]
    stopped = ask.run(ask.task("stopped", **once, worker_labels={"short": "yes"}))
    leaving = cluster.start("worker", "leaving", WORKER__LABELS="short=yes", WORKER__DRAIN_TIMEOUT_SECONDS="1")
    ask.why(stopped, "running")
    leaving.process.terminate()
    ask.why(stopped, "shutdown")


def broker_goes(ask, cluster, task):
    cluster.queue_wire.away()
    waits = ask.run(task)

    def is_away():
        ask.run(task)
        return "queue_away" in ask.gates(f"/api/runs/{waits}/why")

    wait_for("the broker to be missed", is_away)
    cluster.queue_wire.back()


def main(programs, kind, env_file, openapi):
    database, broker = broker_url("SCHEDULER_TEST_POSTGRES_URL", env_file), broker_url(VARIABLES[kind], env_file)
    if not database or not broker:
        print(f"skipped: PostgreSQL or {kind} is not up; ./dev services up starts them")
        raise SystemExit(77)
    with open(openapi, encoding="utf-8") as file:
        codes = set(yaml.safe_load(file)["components"]["schemas"]["Gate"]["properties"]["code"]["enum"])
    with tempfile.TemporaryDirectory() as directory:
        queue_wire, queue = behind_proxy(broker)
        cluster = Cluster(programs, directory, database, queue, kind, slots=1, WORKER__DRAIN_TIMEOUT_SECONDS="2")
        cluster.queue_wire = queue_wire
        try:
            ask = Asker(cluster.start("api", "api"))
            once, late = nobody_fires(ask)
            cluster.start("dispatcher", "dispatcher")
            ask.explain(once, "never_again")
            ask.explain(late, "misfire")
            cluster.start("worker", "w1", WORKER__TASK_TYPES="shell")
            page = no_worker_fits(ask, "w1")
            ends(ask)
            skipped_slots(ask, cluster)
            others(ask)
            overlaps(ask)
            nobody_answers(ask, cluster, ask.task("longer", command="sleep 60"))
            broker_goes(ask, cluster, ask.task("later", command="true"))
            cluster.start("worker", "w2")
            ask.why(page, "http_status")
            workers_go(ask, cluster)
        finally:
            queue_wire.back()
            cluster.close()
    missing, unknown = codes - set(ask.seen), set(ask.seen) - codes
    assert not missing and not unknown, f"never seen: {sorted(missing)}; not described: {sorted(unknown)}"
    for code, sentence in sorted(ask.seen.items()):
        print(f"{code}: {sentence}")


if __name__ == "__main__":
    main(*sys.argv[1:])
