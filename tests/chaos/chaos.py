#!/usr/bin/env python3
"""2 APIs, 2 dispatchers and 4 workers over real servers, thousands of runs, and everything that can go wrong: processes are
killed -9 or stopped beyond the timeout, PostgreSQL and the broker restart, crash and stay away. Control and recovery are
timed; in the end checker.py judges from the store and from what the tasks wrote down. README.md tells more.

usage: chaos.py rabbitmq|redis_stream [--long] [--seed N] [--minutes M] [--keep DIRECTORY] [--programs DIRECTORY]
Exit status 1 when a promise was broken, 77 where a server is not installed.
"""
import argparse
import collections
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
from concurrent.futures import ThreadPoolExecutor

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(ROOT, "tests", "integration"))

import checker  # noqa: E402
from cluster import Cluster  # noqa: E402
from private_servers import PSQL, Servers, even_while_away, missing  # noqa: E402
from scheduler_process import wait_for  # noqa: E402

SERVER_OF = {"rabbitmq": "rabbitmq", "redis_stream": "redis"}
WORKERS = [f"worker{n}" for n in (1, 2, 3, 4)]
DISPATCHERS = ["dispatcher1", "dispatcher2"]
APIS = ["api1", "api2"]
AWAY = (OSError, urllib.error.URLError, subprocess.CalledProcessError, json.JSONDecodeError)

SCRIPT = """mark() {
  read -r up _ </proc/uptime
  echo "$SCHEDULER_RUN_ID $SCHEDULER_ATTEMPT $SCHEDULER_TOKEN $SCHEDULER_WORKER_ID $1 $up" >>'JOURNAL'
}
trap 'mark stopped; exit 143' TERM
mark start
code=0
BODY
mark end:$code
exit $code
"""
# name: (what it does, further fields). Every policy of overlap and misfire is there.
TASKS = {
    "quick": (":", {}),
    "nap": ("sleep 0.$((SCHEDULER_RUN_ID % 9 + 1))", {}),
    "sleeper": ("sleep 3", {}),
    "flaky": ("code=$((SCHEDULER_ATTEMPT % 3 == 0 ? 0 : 3))", {"max_retries": 2, "retry_backoff": {
        "base_seconds": 0.1, "factor": 2, "cap_seconds": 1}}),
    "once": ("sleep 0.5", {"delivery": "at_most_once"}),
    "once sleeper": ("sleep 3", {"delivery": "at_most_once"}),
    "long": ("sleep 600", {"timeout_seconds": 900}),
    "burst": (":", {"shard_count": 40}),
    "naps": ("sleep 0.4", {"shard_count": 40}),
    "after a nap": (":", {"trigger_rule": "all_done", "dependencies": ["nap"]}),
    "every second": (":", {"schedule": "* * * * * *", "overlap_policy": "allow", "misfire_policy": "all"}),
    "latest": (":", {"schedule": "* * * * * *", "overlap_policy": "allow", "misfire_policy": "latest"}),
    "skipping": (":", {"schedule": "* * * * * *", "overlap_policy": "allow", "misfire_policy": "skip"}),
    "once a second": (":", {"schedule": "* * * * * *", "overlap_policy": "allow", "misfire_policy": "all",
                            "delivery": "at_most_once"}),
    "shards": (":", {"schedule": "*/2 * * * * *", "overlap_policy": "allow", "misfire_policy": "all", "shard_count": 3}),
    "paused at times": (":", {"schedule": "* * * * * *", "overlap_policy": "allow", "misfire_policy": "all"}),
    "forbidding": ("sleep 1.3", {"schedule": "* * * * * *", "overlap_policy": "forbid"}),
    "queueing": ("sleep 1.3", {"schedule": "* * * * * *", "overlap_policy": "queue_one"}),
    "replacing": ("sleep 1.5", {"schedule": "*/2 * * * * *", "overlap_policy": "replace"}),
}
PUNCTUAL = ("every second", "latest", "skipping", "once a second")


def uptime():
    with open("/proc/uptime", encoding="ascii") as file:
        return float(file.read().split()[0])


def percentile(values, share):
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


class Journal:
    """The file that tasks append to, read as it grows."""

    def __init__(self, path):
        self.path, self.position, self.lock = path, 0, threading.Lock()
        self.file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        self.rows = collections.defaultdict(list)  # of each run: (token, worker, what, uptime)

    def acknowledged(self, run):
        os.write(self.file, f"acknowledged {run}\n".encode())

    def of(self, run):
        with self.lock, open(self.path, encoding="ascii") as file:
            file.seek(self.position)
            text = file.read()
            whole = text.rfind("\n") + 1
            self.position += whole
            for line in text[:whole].splitlines():
                if line[0] != "a":
                    number, _, token, worker, what, up = line.split()
                    self.rows[int(number)].append((int(token), worker, what, float(up)))
            return list(self.rows[run])

    def find(self, run, what, after_token=0):
        return next((row for row in self.of(run) if row[2].startswith(what) and row[0] > after_token), None)

    def await_(self, run, what, after_token=0, seconds=30):
        return wait_for(f"'{what}' of run {run} in the journal", lambda: self.find(run, what, after_token), seconds)


class Chaos:
    def __init__(self, options, cluster, servers, directory):
        self.options, self.cluster, self.servers = options, cluster, servers
        self.broker = SERVER_OF[options.broker]
        self.dice = random.Random(options.seed)
        self.journal = Journal(os.path.join(directory, "journal"))
        self.timeout, self.tasks, self.broken, self.began = options.timeout, {}, [], time.monotonic()
        self.stopping, self.rate = threading.Event(), 0.3
        self.load, self.load_faults, self.faults = [], [], collections.Counter()

    # --- talking ---

    def say(self, text):
        print(f"{time.monotonic() - self.began:6.1f} s  {text}", flush=True)

    def measured(self, what, value, limit=None):
        late = limit is not None and value > limit
        self.say(f"{'LATE ' if late else ''}{what}: {value:.2f} s" + (f" (at most {limit:g} s)" if limit else ""))
        if late:
            self.broken.append(f"{what}: {value:.2f} s, at most {limit} s")

    def must(self, holds, what):
        if not holds:
            self.say(f"BROKEN {what}")
            self.broken.append(what)

    def call(self, method, path, body=None, through=None, patience=60, **headers):
        """By whichever API answers; refused by a server's fault, it is asked again."""
        deadline, names = time.monotonic() + patience, [through or self.dice.choice(APIS)]
        names += [name for name in APIS if name not in names]
        while True:
            for name in names:
                try:
                    return self.cluster.parts[name].call(method, path, body, **headers)
                except urllib.error.HTTPError as refusal:
                    text = refusal.read().decode()
                    if refusal.code < 500:
                        raise SystemExit(f"{method} {path}: {refusal.code} {text}") from None
                except AWAY:
                    pass
            if time.monotonic() > deadline:
                raise SystemExit(f"{method} {path}: no API answered within {patience} s")
            time.sleep(0.05)

    def trigger(self, task, through=None, patience=60):
        key = f"{threading.get_ident()}-{time.monotonic_ns()}"  # asked twice, it is one run
        made = self.call("POST", f"/api/tasks/{self.tasks[task]}/trigger", {}, through, patience, **{"Idempotency-Key": key})
        for run in made["runs"]:
            self.journal.acknowledged(run["id"])
        return made["runs"][0]["id"]

    def state(self, run, wait=0):
        return self.call("GET", f"/api/runs/{run}?wait={wait}")["state"]

    def number(self, sql):
        return float(self.cluster.ask(sql) or 0)

    def rows(self, sql):
        return [line.split("|") for line in self.cluster.ask(sql).splitlines()]

    def incarnation(self, worker):
        return self.cluster.ask(f"SELECT incarnation FROM workers WHERE worker_id = '{worker}' ORDER BY id DESC LIMIT 1")

    def living(self):
        return {row[0] for row in self.rows("SELECT incarnation FROM workers WHERE state IN ('alive', 'draining')")}

    # --- the cluster and its load ---

    def start(self):
        for name in APIS + DISPATCHERS + WORKERS:
            self.cluster.start(name[:-1], name)
        wait_for("four workers", lambda: len(self.living()) == len(WORKERS))
        checker.watch(self.servers.urls["postgres"], self.cluster.schema)
        for name, (body, more) in TASKS.items():
            command = SCRIPT.replace("JOURNAL", self.journal.path).replace("BODY", body)
            more = more | {"dependencies": [self.tasks[it] for it in more.get("dependencies", [])]}
            self.tasks[name] = self.call("POST", "/api/tasks", {"name": name, "task_type": "shell", "timeout_seconds": 60,
                                                                "parameters": {"command": command}} | more)["id"]
        for api in APIS:
            self.load.append(threading.Thread(target=self.keep_triggering, args=(api, random.Random(self.options.seed))))
        for thread in self.load:
            thread.start()

    def keep_triggering(self, api, dice):
        kinds = ["quick"] * 10 + ["nap"] * 4 + ["flaky"] * 3 + ["once"] * 2 + ["long"]
        cancels = collections.deque()
        try:
            for n in range(1, 1_000_000):
                if self.stopping.wait(0.06 / self.rate):
                    break
                kind = "burst" if n % 25 == 0 else dice.choice(kinds)
                run = self.trigger(kind, api)
                if kind == "long" or n % 40 == 0:
                    cancels.append(run)
                if len(cancels) > 2:
                    self.cancel(cancels.popleft(), api)
            for run in cancels:
                self.cancel(run, api)
        except SystemExit as fault:
            self.load_faults.append(str(fault))

    def cancel(self, run, through=None):
        try:
            self.call("POST", f"/api/runs/{run}/cancel", {}, through)
        except SystemExit as refusal:
            if "409" not in str(refusal):  # it has ended
                raise

    # --- control, timed ---

    def control(self):
        slowest = 0.0
        for n in range(self.options.repeat):
            run = self.trigger("long", APIS[n % 2])
            self.journal.await_(run, "start")
            asked = uptime()
            self.cancel(run, APIS[(n + 1) % 2])
            # dash forgets its trap when the signal comes while it forks: the script then goes on to its end.
            ended = wait_for(f"the end of run {run}", lambda: self.journal.find(run, "stopped") or self.journal.find(run, "end"))
            slowest = max(slowest, ended[3] - asked)
            self.must(self.state(run, wait=10) == "cancelled", f"run {run} was cancelled while it ran")
        self.measured("cancel: the process was told after", slowest, 1)

        task = self.tasks["paused at times"]
        self.call("POST", f"/api/tasks/{task}/pause", {}, "api1")
        paused = time.time()
        time.sleep(2.2)
        resumed = time.time()
        self.call("POST", f"/api/tasks/{task}/resume", {}, "api2")
        fired = f"SELECT extract(epoch FROM {{}}) FROM schedule_slots WHERE task_id = {task} AND disposition = 'fired'"
        wait_for("a fire after the resume", lambda: self.number(fired.format("max(slot)")) > resumed)
        last = self.number(fired.format("max(decided_at)") + f" AND decided_at < to_timestamp({resumed})")
        first = self.rows(fired.format("slot") + f" AND slot > to_timestamp({resumed}) ORDER BY slot LIMIT 1")[0][0]
        decided = self.number(fired.format("min(decided_at)") + f" AND slot > to_timestamp({resumed})")
        self.measured("pause: the last fire came after", max(0.0, last - paused), 1)
        self.must(float(first) - resumed <= 1.01, f"the first fire time after a resume was left out: {first}, resumed {resumed}")
        self.measured("resume: the first fire was late by", decided - float(first), 1)

        worker = self.dice.choice(WORKERS)
        incarnation = self.incarnation(worker)
        for _ in range(12):
            self.trigger("nap")
        asked = time.time()
        self.call("POST", f"/api/workers/{worker}/drain", {}, "api1")
        wait_for("the news of the drain", lambda: self.call("GET", f"/api/workers/{worker}", None, "api2")["state"] == "draining")
        self.measured("drain: known everywhere after", time.time() - asked, 1)
        time.sleep(2)
        given = f"SELECT extract(epoch FROM max(dispatched_at)) FROM task_runs WHERE incarnation = {incarnation}"
        self.measured("drain: the last work was given after", max(0.0, self.number(given) - asked), 1)
        wait_for("the end of its runs", lambda: self.cluster.ask(
            f"SELECT count(*) FROM task_runs WHERE incarnation = {incarnation} AND ended_at IS NULL AND task_id <>"
            f" {self.tasks['long']}") == "0")
        asked = time.time()
        self.call("POST", f"/api/workers/{worker}/undrain", {}, "api2")
        wait_for("work after the drain", lambda: self.number(given) > asked)
        self.measured("undrain: the first work was given after", self.number(given) - asked)

    # --- faults, timed ---

    def kill(self, name):
        self.faults[f"kill -9 {name[:-1]}"] += 1
        self.cluster.parts[name].kill()

    def restart(self, name):
        self.cluster.start(name[:-1], name)

    def lateness(self, since, until):
        tasks = ",".join(str(self.tasks[name]) for name in PUNCTUAL)
        return [tuple(map(float, row)) for row in self.rows(
            "SELECT extract(epoch FROM created_at - slot), extract(epoch FROM coalesce(started_at, now()) - slot) FROM task_runs"
            f" WHERE task_id IN ({tasks}) AND slot BETWEEN to_timestamp({since}) AND to_timestamp({until})")]

    def dispatcher_killed(self):
        for name in DISPATCHERS[:self.options.dispatchers]:
            killed = time.time()
            self.kill(name)
            time.sleep(self.options.watch)
            until = time.time() - 1
            late = self.lateness(killed - 1, until)
            self.measured(f"{name} killed: p99 of the lateness of {len(late)} fires", percentile([it[0] for it in late], .99), 2)
            self.measured("… and of their starts", percentile([it[1] for it in late], .99), 2)
            self.restart(name)
            time.sleep(0.5)

    def busy_worker(self):
        """A worker that executes some sleepers of both kinds; its open attempts as (run, token)."""
        runs = [self.trigger(kind) for kind in ["sleeper", "once sleeper"] * len(WORKERS)]
        for run in runs:
            self.journal.await_(run, "start")
        held = {run: self.journal.find(run, "start") for run in runs}
        worker = collections.Counter(row[1] for row in held.values()).most_common(1)[0][0]
        return worker, {run: row[0] for run, row in held.items() if row[1] == worker}

    def await_rescue(self, worker, held, since):
        once = {int(row[0]) for row in self.rows("SELECT id FROM task_runs WHERE task_id = " + str(self.tasks["once sleeper"]))}
        slowest = 0.0
        for run, token in held.items():
            if run in once:
                self.must(self.state(run, wait=20) == "failed", f"at_most_once: run {run} of a lost worker failed")
                self.must(len([row for row in self.journal.of(run) if row[2] == "start"]) == 1, f"run {run} began once")
            else:
                again = self.journal.await_(run, "start", after_token=token)
                self.must(again[1] != worker, f"run {run} began again elsewhere")
                slowest = max(slowest, again[3] - since)
        self.measured(f"{worker} lost: its {len(held)} runs were started elsewhere after", slowest, self.timeout + 2)

    def worker_killed(self):
        worker, held = self.busy_worker()
        since = uptime()
        self.kill(worker)
        self.await_rescue(worker, held, since)
        self.restart(worker)

    def worker_frozen(self):
        worker, held = self.busy_worker()
        self.trigger("naps")  # so that it holds some that it has not begun
        time.sleep(0.1)
        incarnation, since = self.incarnation(worker), uptime()
        process = self.cluster.parts[worker].process
        self.faults["worker stopped beyond its timeout"] += 1
        process.send_signal(signal.SIGSTOP)
        self.await_rescue(worker, held, since)
        for run in held:  # all have ended elsewhere when it wakes with its results
            self.must(self.state(run, wait=20) in ("succeeded", "failed"), f"run {run} has ended")
        query = f"SELECT id, state, token, attempt, ended_at FROM task_runs WHERE id IN ({','.join(map(str, held))}) ORDER BY id"
        before = self.cluster.ask(query)
        ready = {int(row[0]): int(row[1]) for row in self.rows(  # not begun by it, whoever has them now
            f"SELECT run_id, token FROM task_attempts WHERE incarnation = {incarnation} AND started_at IS NULL")}
        woken = uptime()
        process.send_signal(signal.SIGCONT)
        wait_for("the new life of a worker that woke up", lambda: self.incarnation(worker) not in ("", incarnation))
        self.measured("a worker that woke up begins a new life after", uptime() - woken, 5)
        wait_for("the end of its processes", lambda: not processes_of(incarnation))
        self.measured("… and its processes are gone after", uptime() - woken)
        time.sleep(1)
        late = [run for run, token in ready.items() if any(
            row[0] == token and row[2] == "start" and row[3] >= woken for row in self.journal.of(run))]
        self.must(not late, f"none of {len(ready)} runs that it had not begun was begun by a worker that woke up: {late}")
        self.must(self.cluster.ask(query) == before, f"late reports changed nothing:\n{before}\n{self.cluster.ask(query)}")

    def store_outage(self, seconds):
        before = self.living()
        self.faults["store away beyond the timeout"] += 1
        self.servers.down("postgres")
        time.sleep(seconds)
        self.servers.up("postgres")
        back = time.monotonic()
        run = self.trigger("quick")
        wait_for("a run after the outage", even_while_away(lambda: self.state(run) == "succeeded"))
        self.measured(f"store away for {seconds} s: a fresh run has ended after", time.monotonic() - back)
        time.sleep(self.timeout + 1)
        self.must(self.living() == before, f"nobody is declared dead for it: {sorted(before)}, now {sorted(self.living())}")

    def broker_outage(self, seconds):
        before = self.living()
        self.faults["broker away"] += 1
        self.servers.down(self.broker)
        gone = time.monotonic()
        while time.monotonic() < gone + seconds:
            self.trigger("nap")
            time.sleep(0.5)
        self.servers.up(self.broker)
        back = time.monotonic()
        open_runs = {int(row[0]) for row in self.rows(
            "SELECT id FROM task_runs WHERE state IN ('pending', 'dispatched') AND due_at <= now()")}
        with ThreadPoolExecutor() as pool:
            for fresh in pool.map(self.fresh_run, APIS):
                self.measured("broker back: a fresh run has ended after", fresh, 5)
        moved = {}

        def all_moved():
            left = {int(row[0]) for row in self.rows("SELECT id FROM task_runs WHERE state IN ('pending', 'dispatched')")}
            moved["share"] = 1 - len(left & open_runs) / max(1, len(open_runs))
            if moved["share"] >= .5:
                moved.setdefault("half", time.monotonic() - back)
            return moved["share"] == 1
        wait_for("the backlog", all_moved, 60)
        self.measured(f"… half of {len(open_runs)} runs that waited are under way after", moved["half"], 5)
        self.measured("… and all of them", time.monotonic() - back)
        time.sleep(self.timeout)
        self.must(self.living() == before, f"nobody is declared dead for it: {sorted(before)}, now {sorted(self.living())}")

    def fresh_run(self, api):
        began = time.monotonic()
        run = self.trigger("quick", api)
        while self.call("GET", f"/api/runs/{run}?wait=5", None, api)["state"] != "succeeded":
            if time.monotonic() > began + 60:
                raise SystemExit(f"run {run} does not end after the broker is back")
        return time.monotonic() - began

    # --- faults, at random ---

    def storm(self, seconds):
        self.rate = 1.0
        end = time.monotonic() + seconds
        idle = {name: threading.Lock() for name in APIS + DISPATCHERS + WORKERS + ["postgres", self.broker]}
        kinds = [self.crash] * 5 + [self.freeze] * 3 + [self.leave] * 2 + [self.crash_server] * 2 + [self.drain, self.pause]
        with ThreadPoolExecutor(3) as pool:
            under_way = []
            while time.monotonic() < end:
                fault = self.dice.choice(kinds)
                under_way.append(pool.submit(fault, idle, random.Random(self.dice.random())))
                time.sleep(self.dice.uniform(0.3, 2.5))
                under_way = [it for it in under_way if not it.done() or it.result()]
            for it in under_way:
                it.result()
        self.rate = 0.3

    def choose(self, idle, dice, names):
        """One that no other fault has in hand, locked; nothing where all are taken."""
        return next((name for name in dice.sample(names, len(names)) if idle[name].acquire(blocking=False)), None)

    def crash(self, idle, dice):
        name = self.choose(idle, dice, APIS + DISPATCHERS + WORKERS)
        if name:
            pause = dice.choice([0, 0.5, self.timeout + 1])
            self.say(f"kill -9 {name}, back after {pause} s")
            self.kill(name)
            time.sleep(pause)
            self.start_even_while_away(name)
            idle[name].release()

    def freeze(self, idle, dice):
        name = self.choose(idle, dice, WORKERS + DISPATCHERS)
        if name:
            pause = dice.choice([0.5, self.timeout - 1, self.timeout + 2, self.options.freeze])
            self.say(f"{name} is stopped for {pause} s")
            self.faults[f"{name[:-1]} stopped"] += 1
            process = self.cluster.parts[name].process
            process.send_signal(signal.SIGSTOP)
            time.sleep(pause)
            process.send_signal(signal.SIGCONT)
            idle[name].release()

    def leave(self, idle, dice):
        name = self.choose(idle, dice, WORKERS + DISPATCHERS)
        if name:
            self.say(f"{name} is told to end, and started again")
            self.faults[f"{name[:-1]} ended in order"] += 1
            process = self.cluster.parts[name].process
            process.terminate()
            try:
                code = process.wait(timeout=45)
                self.must(code == 0, f"{name} ended with {code} after SIGTERM")
            except subprocess.TimeoutExpired:
                self.must(False, f"{name} did not end within 45 s of SIGTERM")
                self.cluster.parts[name].kill()
            self.start_even_while_away(name)
            idle[name].release()

    def crash_server(self, idle, dice):
        name = self.choose(idle, dice, ["postgres", self.broker])
        if name:
            word = dice.choice(["down", "kill", "lose"] if name != "postgres" and self.options.long else ["down", "kill"])
            pause = dice.choice([0, 1, self.timeout + 1])
            self.say(f"{name} {word}, up again after {pause} s")
            self.faults[f"{name} {word}"] += 1
            if word == "lose":  # every message: that costs time, and nothing else
                self.servers.kill(name)
                self.servers.lose_data(name)
            else:
                getattr(self.servers, word)(name)
            time.sleep(pause)
            self.servers.up(name)
            idle[name].release()

    def drain(self, idle, dice):
        name = self.choose(idle, dice, WORKERS)
        if name:
            try:
                self.call("POST", f"/api/workers/{name}/drain", {})
                self.faults["drain"] += 1
                time.sleep(dice.uniform(0.5, 2))
                self.call("POST", f"/api/workers/{name}/undrain", {})
            except SystemExit as refusal:
                self.must("409" in str(refusal), str(refusal))  # it is dead by now
            idle[name].release()

    def pause(self, idle, dice):
        path = f"/api/tasks/{self.tasks['paused at times']}"
        self.faults["pause and resume"] += 1
        self.call("POST", path + "/pause", {})
        time.sleep(dice.uniform(0.1, 2))
        self.call("POST", path + "/resume", {})

    def start_even_while_away(self, name):
        """A supervisor starts again what cannot start because its store is away."""
        for _ in range(60):
            try:
                return self.restart(name)
            except SystemExit:
                time.sleep(0.5)
        raise SystemExit(f"{name} does not start again")

    # --- the end ---

    def settle(self):
        self.stopping.set()
        for thread in self.load:
            thread.join()
        for fault in self.load_faults:
            self.must(False, fault)
        for name, part in self.cluster.parts.items():
            self.must(part.process.poll() is None, f"{name} ended by itself with {part.process.poll()}")
        wait_for("four workers", lambda: len(self.living()) == len(WORKERS))
        active = f"SELECT id FROM task_runs WHERE ended_at IS NULL AND task_id = {self.tasks['long']}"
        for run in self.rows(active):
            self.cancel(run[0])
        time.sleep(2)  # so that the last fire times are decided by a cluster that is whole
        for name, (_, more) in TASKS.items():
            if "schedule" in more:
                self.call("POST", f"/api/tasks/{self.tasks[name]}/pause", {})
        try:
            wait_for("the end of every run", lambda: self.cluster.ask(
                "SELECT count(*) FROM task_runs WHERE ended_at IS NULL") == "0", 90)
        except SystemExit as late:
            self.must(False, str(late))
            self.say(self.cluster.ask("SELECT id, task_id, state, attempt, lost_attempts, token, worker, missing_since, due_at,"
                                      " dispatched_at, now() FROM task_runs WHERE ended_at IS NULL ORDER BY id LIMIT 20"))

    def report(self):
        self.say("faults: " + ", ".join(f"{n} {what}" for what, n in sorted(self.faults.items())))
        self.say("lost attempts: " + (", ".join("|".join(row) for row in self.rows(
            "SELECT a.reason, w.state_reason, count(*) FROM task_attempts a LEFT JOIN workers w USING (incarnation)"
            " WHERE a.state = 'lost' GROUP BY 1, 2 ORDER BY 1, 2")) or "none"))
        self.say("lost attempts of workers that lived on: " + self.cluster.ask(
            "SELECT count(*) FROM task_attempts a JOIN workers w USING (incarnation) WHERE a.state = 'lost'"
            " AND a.reason <> 'shutdown' AND w.heartbeat_at > a.ended_at"))
        if failed := checker.check(self.servers.urls["postgres"], self.cluster.schema, self.journal.path):
            self.broken.append("the checker refuses: " + ", ".join(failed))


def processes_of(incarnation):
    """Processes that still run for this life of a worker."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/environ", "rb") as environment:
                if f"SCHEDULER_INCARNATION={incarnation}\0".encode() in environment.read():
                    found.append(int(pid))
        except OSError:
            pass
    return found


def play(chaos):
    options = chaos.options
    chaos.start()
    for _ in range(options.rounds):
        chaos.control()
        chaos.dispatcher_killed()
        chaos.worker_killed()
        chaos.worker_frozen()
        chaos.store_outage(options.timeout + options.beyond)
        chaos.broker_outage(options.away)
        chaos.storm(options.storm)
    chaos.settle()
    chaos.report()


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("broker", choices=SERVER_OF)
    parser.add_argument("--long", action="store_true", help="by hand: all faults, a broker outage of 30 s")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=5, help="of the long form, about")
    parser.add_argument("--keep", help="where logs, journal and answers are left")
    parser.add_argument("--programs", default=os.path.join(ROOT, "build", "release", "bin"))
    options = parser.parse_args()
    short = {"timeout": 3, "repeat": 3, "dispatchers": 1, "watch": 3, "away": 4, "beyond": 1, "rounds": 1, "storm": 8, "freeze": 6}
    long = {"timeout": 5, "repeat": 10, "dispatchers": 2, "watch": 8, "away": 30, "beyond": 5, "rounds": 1, "freeze": 30,
            "storm": max(30, options.minutes * 60 - 130)}
    for name, value in (long if options.long else short).items():
        setattr(options, name, value)
    return options


def main():
    options = parse()
    names = ["postgres", SERVER_OF[options.broker]]
    if away := missing(names):
        print(f"skipped: {', '.join(away)} is not installed; ./dev services up brings it")
        sys.exit(77)
    with tempfile.TemporaryDirectory(prefix="chaos-") as directory:
        os.chmod(directory, 0o755)  # the servers' own users work below it
        servers = Servers(os.path.join(ROOT, "scripts", "services.sh"), os.path.join(directory, "servers"), *names)
        cluster = chaos = None
        try:
            cluster = Cluster(options.programs, directory, servers.urls["postgres"], servers.urls[names[1]], options.broker,
                              options.timeout, slots=8, WORKER__KILL_GRACE_SECONDS="1", WORKER__DRAIN_TIMEOUT_SECONDS="5")
            chaos = Chaos(options, cluster, servers, directory)
            play(chaos)
        finally:
            if chaos:
                chaos.stopping.set()
            if cluster:
                for part in cluster.parts.values():
                    part.process.send_signal(signal.SIGCONT)
                    part.kill()
            if options.keep:
                os.makedirs(options.keep, exist_ok=True)
                with open(os.path.join(options.keep, "store.sql"), "wb") as dump:
                    subprocess.run([os.path.join(os.path.dirname(PSQL), "pg_dump"), servers.urls["postgres"]], stdout=dump,
                                   check=False)
                shutil.copytree(directory, options.keep, dirs_exist_ok=True, ignore=shutil.ignore_patterns("servers"))
            servers.down()
    if chaos.broken:
        print(f"{options.broker}, seed {options.seed}: {len(chaos.broken)} promises were broken")
        print("\n".join("  " + what for what in chaos.broken))
        sys.exit(1)
    print(f"{options.broker}, seed {options.seed}: every promise was kept")


if __name__ == "__main__":
    main()
