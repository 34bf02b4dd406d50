#!/usr/bin/env python3
"""API, dispatcher and worker as processes of their own, and wires to PostgreSQL and the broker that are cut and frozen: the
circuit breakers open and say so, requests are answered at once, and all goes on by itself when the servers are back.

usage: outage_test.py BIN_DIRECTORY rabbitmq|redis_stream ENV_FILE
Exit code 77 where the servers are not up (./dev services up).
"""
import json
import re
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request

from broker_test import VARIABLES, broker_url
from cluster import Cluster
from scheduler_process import wait_for
from tcp_proxy import TcpProxy

SOON = 5.0  # seconds after its return until everything flows again
AT_ONCE = 1.0


def behind_proxy(url):
    parts = urllib.parse.urlsplit(url)
    proxy = TcpProxy((parts.hostname, parts.port))
    place = parts.netloc.rsplit("@", 1)[0] + f"@127.0.0.1:{proxy.port}"
    return proxy, urllib.parse.urlunsplit(parts._replace(netloc=place))


def request(api, method, path, body=None):
    """Status, headers, data, seconds; also of a refusal."""
    began = time.monotonic()
    wanted = urllib.request.Request(api.url + path, method=method, headers=api.headers(),
                                    data=None if body is None else json.dumps(body).encode())
    try:
        reply = urllib.request.urlopen(wanted, timeout=60)
    except urllib.error.HTTPError as refusal:
        reply = refusal
    text = reply.read().decode()
    return reply.status, reply.headers, text, time.monotonic() - began


def metric(api, name, target):
    text = request(api, "GET", "/metrics")[2]
    return float(re.search(rf'^scheduler_circuit_breaker_{name}{{target="{target}"}} (\S+)$', text, re.M).group(1))


def check_of(api, name):
    checks = api.call("GET", "/api/system/health")["checks"]
    return next(check for check in checks if check["name"] == name)


def open_now(api, target):
    return metric(api, "state", target) in (1, 2)


def closed_again(api, target, since):
    wait_for(f"the {target} to be closed", lambda: metric(api, "state", target) == 0)
    took = time.monotonic() - since
    assert took < SOON, f"{target}: closed {took:.1f} s after the server was back"
    return took


def ends_well(cluster, runs, since):
    ids = ",".join(map(str, runs))
    wait_for("the end of every run", lambda: cluster.ask(
        f"SELECT count(*) FROM task_runs WHERE id IN ({ids}) AND state <> 'succeeded'") == "0")
    took = time.monotonic() - since
    assert took < SOON, f"the last run ended {took:.1f} s after the server was back"
    return took


def store_goes(cluster, api, task, how):
    """`how`: away or freeze."""
    opened = metric(api, "opens_total", "store")
    getattr(cluster.store_wire, how)()
    # Whoever asks first meets the silence itself, up to the deadline of a statement.
    wait_for("an open store", lambda: request(api, "GET", f"/api/tasks/{task}")[0] != 200 and open_now(api, "store"),
             seconds=60)
    assert metric(api, "opens_total", "store") == opened + 1
    slowest = 0.0
    for _ in range(30):
        for method, path in (("GET", f"/api/tasks/{task}"), ("POST", f"/api/tasks/{task}/trigger"), ("GET", "/api/runs")):
            status, headers, text, seconds = request(api, method, path, {} if method == "POST" else None)
            assert status == 503 and headers["Retry-After"] == "1", (status, text)
            assert "the store is away since" in json.loads(text)["detail"], text
            slowest = max(slowest, seconds)
        time.sleep(0.05)
    assert slowest < AT_ONCE, f"a request took {slowest:.1f} s"
    status, headers, text, seconds = request(api, "GET", "/health/ready")
    assert status == 503 and "store: the store is away since" in json.loads(text)["detail"] and seconds < AT_ONCE, text
    circuit = check_of(api, "store")["circuit_breaker"]
    assert circuit["state"] in ("open", "half_open") and "PostgreSQL" in circuit["last_error"], circuit
    cluster.store_wire.back()
    back = time.monotonic()
    closed = closed_again(api, "store", back)
    run = api.call("POST", f"/api/tasks/{task}/trigger", {})["runs"][0]["id"]
    flows = ends_well(cluster, [run], back)
    assert request(api, "GET", "/health/ready")[0] == 200
    circuit = check_of(api, "store")["circuit_breaker"]
    assert circuit["state"] == "closed", circuit
    print(f"store {how}: slowest refusal {slowest * 1000:.0f} ms; closed {closed:.1f} s, a run ended {flows:.1f} s after "
          "its return")


def queue_goes(cluster, api, task, how):
    opened = metric(api, "opens_total", "message_queue")
    getattr(cluster.queue_wire, how)()
    runs = []

    def trigger():
        status, _, text, seconds = request(api, "POST", f"/api/tasks/{task}/trigger", {})
        assert status == 201 or status == 202, (status, text)
        runs.append(json.loads(text)["data"]["runs"][0]["id"])
        return seconds

    wait_for("an open message queue", lambda: trigger() is not None and open_now(api, "message_queue"), seconds=60)
    assert metric(api, "opens_total", "message_queue") == opened + 1
    time.sleep(3)  # the dispatcher has met the outage as well
    slowest = max(trigger() for _ in range(20))
    assert slowest < AT_ONCE, f"a trigger took {slowest:.1f} s"
    status, _, text, seconds = request(api, "GET", "/health/ready")
    assert status == 200 and json.loads(text)["data"]["status"] == "degraded" and seconds < AT_ONCE, text
    check = check_of(api, "message_queue")
    assert not check["ok"] and check["circuit_breaker"]["state"] != "closed", check
    assert check["circuit_breaker"]["last_error"], check
    cluster.queue_wire.back()
    back = time.monotonic()
    closed = closed_again(api, "message_queue", back)
    fresh = api.call("POST", f"/api/tasks/{task}/trigger", {})["runs"][0]["id"]
    flows = ends_well(cluster, [fresh, runs[-1]], back)
    ids = ",".join(map(str, runs))
    wait_for("the runs of the outage", lambda: cluster.ask(
        f"SELECT count(*) FROM task_runs WHERE id IN ({ids}) AND state <> 'succeeded'") == "0", seconds=60)
    print(f"message queue {how}: slowest trigger {slowest * 1000:.0f} ms; closed {closed:.1f} s, runs ended {flows:.1f} s, all "
          f"{len(runs)} of the outage {time.monotonic() - back:.1f} s after its return")


def main(programs, kind, env_file):
    database, broker = broker_url("SCHEDULER_TEST_POSTGRES_URL", env_file), broker_url(VARIABLES[kind], env_file)
    if not database or not broker:
        print(f"skipped: PostgreSQL or {kind} is not up; ./dev services up starts them")
        raise SystemExit(77)
    with tempfile.TemporaryDirectory() as directory:
        store_wire, store = behind_proxy(database)
        queue_wire, queue = behind_proxy(broker)
        cluster = Cluster(programs, directory, database, queue, kind, database_for_programs=store)
        cluster.store_wire, cluster.queue_wire = store_wire, queue_wire
        try:
            api = cluster.start("api", "api")
            cluster.start("dispatcher", "dispatcher")
            cluster.start("worker", "worker")
            wait_for("a worker", lambda: api.call("GET", "/api/workers")["items"])
            task = api.call("POST", "/api/tasks", {"name": "quick", "task_type": "noop"})["id"]
            assert metric(api, "state", "store") == metric(api, "state", "message_queue") == 0
            assert check_of(api, "store")["circuit_breaker"]["state"] == "closed"
            for how in ("away", "freeze"):
                store_goes(cluster, api, task, how)
                queue_goes(cluster, api, task, how)
        finally:
            store_wire.back()
            queue_wire.back()
            codes = cluster.close()
    assert set(codes.values()) == {0}, f"exit codes after SIGTERM: {codes}"


if __name__ == "__main__":
    main(*sys.argv[1:])
