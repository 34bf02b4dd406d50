#!/usr/bin/env python3
"""Proves from the store and from what the tasks themselves wrote down that a cluster kept its promises.

usage: checker.py DATABASE_URL SCHEMA JOURNAL
       checker.py --watch DATABASE_URL SCHEMA     before the first run: notes every later change of what has ended

It knows the tables and the journal, nothing of the scheduler's code. JOURNAL is a file that is only appended to:
  acknowledged RUN                                by who triggered it, after the API had answered
  RUN ATTEMPT TOKEN WORKER start UPTIME           by the task, when it began
  RUN ATTEMPT TOKEN WORKER end:CODE UPTIME        … before it ended with that code
  RUN ATTEMPT TOKEN WORKER stopped UPTIME         … when it was told to stop
UPTIME is the first number of /proc/uptime. Every task of the schema must be a shell task that does so. Each proof is printed
with its figure; exit status 1, with the offending rows, when one fails.
"""
import collections
import csv
import io
import re
import subprocess
import sys
import time

PSQL = "/usr/lib/postgresql/15/bin/psql"
TERMINAL = {"succeeded", "failed", "timed_out", "cancelled", "skipped"}
SECOND = 1_000_000
LOST_ATTEMPTS_MAX = 3
# An idle dispatcher looks at schedules at least once a second.
WATERMARK_LAG = 3 * SECOND
# The journal's clock counts hundredths of a second, and both clocks are read one after the other.
CLOCKS_DIFFER = SECOND // 20


def micros(column):
    return f"(extract(epoch FROM {column}) * 1000000)::bigint AS {column}"


TABLES = {
    "now": f"SELECT {micros('now')} FROM now() AS now",
    "tasks": "SELECT id, name, schedule, overlap_policy, misfire_policy, delivery, max_retries, shard_count, status,"
             f" trigger_rule, {micros('created_at')}, {micros('updated_at')}, {micros('watermark')} FROM tasks",
    "dependencies": "SELECT task_id, upstream_id FROM task_dependencies",
    "runs": f"SELECT id, task_id, {micros('slot')}, shard_index, state, reason, attempt, lost_attempts, token, exit_code,"
            f" triggered_by, {micros('created_at')}, {micros('ended_at')} FROM task_runs",
    "attempts": "SELECT run_id, number, token, state, reason, worker, exit_code,"
                f" {micros('ended_at')} FROM task_attempts",
    "slots": f"SELECT task_id, {micros('first_slot')}, {micros('slot')}, shard, run_id, disposition, reason,"
             f" {micros('decided_at')} FROM schedule_slots",
    "overwritten": "SELECT what, before, after FROM overwritten",
}

WATCH = """
CREATE TABLE overwritten (what TEXT, before TEXT, after TEXT);
CREATE FUNCTION note_overwritten() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  INSERT INTO overwritten VALUES (TG_OP || ' ' || TG_TABLE_NAME, OLD::text, CASE TG_OP WHEN 'UPDATE' THEN NEW::text END);
  RETURN NULL;
END $$;
CREATE TRIGGER watch_change AFTER UPDATE ON task_runs FOR EACH ROW
  WHEN (OLD.ended_at IS NOT NULL AND OLD IS DISTINCT FROM NEW) EXECUTE FUNCTION note_overwritten();
CREATE TRIGGER watch_change AFTER UPDATE ON task_attempts FOR EACH ROW
  WHEN (OLD IS DISTINCT FROM NEW) EXECUTE FUNCTION note_overwritten();
CREATE TRIGGER watch_change AFTER UPDATE ON schedule_slots FOR EACH ROW
  WHEN (OLD IS DISTINCT FROM NEW) EXECUTE FUNCTION note_overwritten();
CREATE TRIGGER watch_delete AFTER DELETE ON task_runs FOR EACH ROW EXECUTE FUNCTION note_overwritten();
CREATE TRIGGER watch_delete AFTER DELETE ON task_attempts FOR EACH ROW EXECUTE FUNCTION note_overwritten();
CREATE TRIGGER watch_delete AFTER DELETE ON schedule_slots FOR EACH ROW EXECUTE FUNCTION note_overwritten();
"""


class Row(dict):
    """A row of a table: numbers where they are numbers, None where there is nothing."""
    __getattr__ = dict.__getitem__


def read_rows(text):
    def value(field):
        return None if field == "" else int(field) if re.fullmatch(r"-?\d+", field) else field
    return [Row({name: value(field) for name, field in row.items()}) for row in csv.DictReader(io.StringIO(text))]


def psql(database, schema, sql):
    return subprocess.run([PSQL, database, "-XAtqc", f"SET search_path = {schema}; {sql}"], check=True, text=True,
                          capture_output=True).stdout


def load(database, schema):
    return {name: read_rows(psql(database, schema, f"COPY ({sql}) TO STDOUT (FORMAT csv, HEADER)"))
            for name, sql in TABLES.items()}


class Journal:
    """What was written down: who was acknowledged, and for each (run, token) what its processes said."""

    def __init__(self, lines, boot):
        """`boot`: the wall clock's time, in microseconds, at UPTIME 0."""
        self.acknowledged, self.starts, self.ends, self.broken = [], [], {}, []
        for line in lines:
            words = line.split()
            if len(words) == 2 and words[0] == "acknowledged":
                self.acknowledged.append(int(words[1]))
            elif len(words) == 6:
                run, attempt, token = map(int, words[:3])
                at = boot + round(float(words[5]) * SECOND)
                row = Row(run=run, attempt=attempt, token=token, worker=words[3], at=at)
                if words[4] == "start":
                    self.starts.append(row)
                else:
                    self.ends.setdefault((run, token), []).append(Row(row, what=words[4]))
            else:
                self.broken.append(line)


class History:
    def __init__(self, tables, journal):
        self.journal, self.now = journal, tables["now"][0].now
        self.tasks = {it.id: it for it in tables["tasks"]}
        self.runs = {it.id: it for it in tables["runs"]}
        self.slots, self.overwritten, self.dependencies = tables["slots"], tables["overwritten"], tables["dependencies"]
        self.attempts = collections.defaultdict(list)
        for it in sorted(tables["attempts"], key=lambda it: it.number):
            self.attempts[it.run_id].append(it)
        self.starts = collections.defaultdict(list)
        for it in sorted(journal.starts, key=lambda it: it.token):
            self.starts[it.run].append(it)

    def attempt(self, run, token):
        return next((it for it in self.attempts[run] if it.token == token), None)

    def wrote_end(self, run, token, what):
        return any(it.what == what for it in self.journal.ends.get((run, token), []))


# --- the proofs: each returns its figure and the offending rows --------------------------------------------------------


def nothing_lost(it):
    """every acknowledged run is there and has ended, and so has every other"""
    bad = [f"acknowledged run {run} is gone" for run in it.journal.acknowledged if run not in it.runs]
    bad += [f"not ended: {run}" for run in it.runs.values() if run.state not in TERMINAL or run.ended_at is None]
    bad += [f"a process ran for a run that is not there: {start}" for start in it.journal.starts if start.run not in it.runs]
    bad += [f"the journal is broken: {line!r}" for line in it.journal.broken]
    return f"{len(it.journal.acknowledged)} acknowledged, {len(it.runs)} runs", bad


def slots_of(task, first, last):
    """Every instant in [first, last] that the schedule names; the few forms that these tests use."""
    if found := re.fullmatch(r"(?:\*|\*/(\d+)) \* \* \* \* \*", task.schedule):
        step = int(found[1] or 1)
        if 60 % step == 0:
            return range(-(-first // (step * SECOND)) * step * SECOND, last + 1, step * SECOND)
    raise SystemExit(f"checker: cannot tell the fire times of {task.schedule!r}; use '* * * * * *' or '*/N * * * * *'")


def every_slot_once(it):
    """every fire time up to the watermark has one disposition per shard, and every fired one its own run"""
    bad, checked = [], 0
    of_task = collections.defaultdict(list)
    for row in it.slots:
        of_task[row.task_id].append(row)
    for task in it.tasks.values():
        rows = of_task.pop(task.id, [])
        if task.schedule is None:
            bad += [f"a slot of a task without schedule: {row}" for row in rows]
            continue
        fired, dispositions = set(), collections.defaultdict(list)
        for row in rows:
            if row.disposition == "fired":
                fired.add(row.slot)
            if row.first_slot > row.slot or row.disposition == "fired" and row.first_slot != row.slot:
                bad.append(f"a slot that is no instant, or no range: {row}")
            for slot in slots_of(task, row.first_slot, row.slot):
                dispositions[slot].append(row.shard)
        expected = slots_of(task, task.created_at + 1, task.watermark or task.created_at)
        for slot in expected:
            # What was skipped is on record once, not per shard.
            want, got = list(range(task.shard_count)) if slot in fired else [0], sorted(dispositions.pop(slot, []))
            if got != want:
                bad.append(f"task {task.name}: slot {slot} has dispositions for the shards {got}, not {want}")
        bad += [f"task {task.name}: slot {slot} is none of its schedule, or beyond its watermark" for slot in dispositions]
        until = task.updated_at if task.status == "paused" else it.now
        if (task.watermark or 0) < until - WATERMARK_LAG:
            bad.append(f"task {task.name}: decided up to {task.watermark} only, of {until}")
        checked += len(expected) * task.shard_count
    bad += [f"slots of an unknown task: {rows[0]}" for rows in of_task.values()]
    return f"{checked} slots", bad + runs_of_slots(it)


def runs_of_slots(it):
    bad = []
    by_slot = collections.defaultdict(list)
    for run in it.runs.values():
        if run.slot is not None:
            by_slot[run.task_id, run.slot, run.shard_index].append(run.id)
    bad += [f"the runs {runs} are all of task, slot, shard {key}" for key, runs in by_slot.items() if len(runs) > 1]
    for row in it.slots:
        key = (row.task_id, row.slot, row.shard)
        runs = by_slot.pop(key, [])
        if row.disposition == "fired" and (row.run_id is None or row.run_id not in runs):
            bad.append(f"a fired slot whose run is not there: {row}")
    bad += [f"run {runs[0]} has a slot that is not on record: {key}" for key, runs in by_slot.items()]
    return bad


def skips_are_allowed(it):
    """slots are skipped for reasons that their task's policies know"""
    bad, skipped = [], 0
    for row in it.slots:
        task = it.tasks.get(row.task_id)
        if task is None or row.disposition != "skipped":
            continue
        skipped += 1
        allowed = row.reason == "paused" or row.reason == "overlap" and task.overlap_policy in ("forbid", "queue_one") \
            or row.reason == "misfire" and row.first_slot < row.decided_at - 60 * SECOND
        if not allowed:
            bad.append(f"task {task.name} ({task.overlap_policy}, {task.misfire_policy}): {row}")
    return f"{skipped} slots skipped", bad


def no_result_overwritten(it):
    """what has ended never changed, and a run's end is that of its last attempt"""
    bad = [f"{row.what}: {row.before} -> {row.after}" for row in it.overwritten]
    attempts = 0
    for run in it.runs.values():
        mine = it.attempts[run.id]
        attempts += len(mine)
        numbers, tokens = [a.number for a in mine], [a.token for a in mine]
        if numbers != list(range(1, len(mine) + 1)):
            bad.append(f"run {run.id} has the attempts {numbers}")
        if any(a >= b for a, b in zip(tokens, tokens[1:])) or tokens and tokens[-1] > run.token:
            bad.append(f"run {run.id}, token {run.token}: tokens of its attempts {tokens}")
        final = [a for a in mine if a.state in ("succeeded", "cancelled")]
        if len(final) > 1 or final and final[0] is not mine[-1]:
            bad.append(f"run {run.id} has more than one result: {[(a.number, a.state) for a in mine]}")
        ends_as = {"lost": "failed"}.get(mine[-1].state, mine[-1].state) if mine else None
        if run.state in ("succeeded", "failed", "timed_out") and ends_as != run.state:
            bad.append(f"run {run.id} is {run.state}, its last attempt {ends_as}")
        if run.state in ("succeeded", "failed") and mine and run.exit_code != mine[-1].exit_code:
            bad.append(f"run {run.id} has exit code {run.exit_code}, its last attempt {mine[-1].exit_code}")
    known = set(it.runs)
    bad += [f"attempts of a run that is not there: {rows[0]}" for run, rows in it.attempts.items() if rows and run not in known]
    return f"{attempts} attempts", bad


def results_are_true(it):
    """every result that was committed is what that very attempt's process did"""
    bad, results = [], 0
    for run, attempts in it.attempts.items():
        for a in attempts:
            if a.state not in ("succeeded", "failed"):
                continue
            results += 1
            if a.exit_code is None or not it.wrote_end(run, a.token, f"end:{a.exit_code}"):
                bad.append(f"{a}, but its process wrote {it.journal.ends.get((run, a.token))}")
            elif not any(s.token == a.token and s.attempt == a.number and s.worker == a.worker for s in it.starts[run]):
                bad.append(f"{a}, but the starts are {it.starts[run]}")
    return f"{results} results", bad


def second_starts_explained(it):
    """no attempt began twice, and whoever began again did so after the loss or failure before it was on record"""
    bad, again, late = [], 0, 0
    for run, starts in it.starts.items():
        for first, second in zip(starts, starts[1:]):
            again += 1
            ended = it.attempt(run, first.token)
            if first.token == second.token:
                bad.append(f"attempt {first.attempt} of run {run} began twice with token {first.token}")
            elif ended is None or ended.state not in ("lost", "failed", "timed_out"):
                bad.append(f"run {run} began again with token {second.token}; of token {first.token} the record says {ended}")
            elif ended.ended_at > second.at + CLOCKS_DIFFER:
                bad.append(f"run {run} began again {(ended.ended_at - second.at) / SECOND} s before {ended}")
        for start in starts:
            run_row, attempt = it.runs.get(run), it.attempt(run, start.token)
            over = attempt.ended_at if attempt else run_row.ended_at if run_row else None
            if over is None or start.at <= over + CLOCKS_DIFFER:
                continue
            # A worker that was stopped in the middle may start what it held before it hears that it was given up.
            late += 1
            if not attempt or attempt.state != "lost":
                bad.append(f"run {run} began after its end: {start}, {attempt}")
    return f"{again} second starts, {late} starts by workers that had been given up", bad


def at_most_once(it):
    """what must not be started twice was not, and says so where its worker was lost"""
    bad, runs = [], 0
    for run in it.runs.values():
        task = it.tasks.get(run.task_id)
        if task is None or task.delivery != "at_most_once" or task.max_retries > 0:
            continue
        runs += 1
        if len(it.starts[run.id]) > 1:
            bad.append(f"run {run.id} of {task.name} began {len(it.starts[run.id])} times")
        if len(it.attempts[run.id]) > 1:
            bad.append(f"run {run.id} of {task.name} has {len(it.attempts[run.id])} attempts")
    return f"{runs} runs", bad


def budgets_kept(it):
    """nobody was given up too early, and nobody had more attempts than the task allows"""
    bad, failed = [], 0
    for run in it.runs.values():
        task, mine = it.tasks.get(run.task_id), it.attempts[run.id]
        if task is None:
            bad.append(f"run {run.id} of an unknown task")
            continue
        lost = sum(a.state == "lost" for a in mine)
        tries = len(mine) - lost
        if lost > LOST_ATTEMPTS_MAX or tries > task.max_retries + 1 or lost != run.lost_attempts:
            bad.append(f"run {run.id} of {task.name}: {tries} tries of {task.max_retries + 1}, {lost} lost, counted {run}")
        if run.state in ("failed", "timed_out"):
            failed += 1
            if mine and mine[-1].state == "lost":
                spent = lost == LOST_ATTEMPTS_MAX or task.delivery == "at_most_once"
            else:
                spent = tries == task.max_retries + 1
            if not spent:
                bad.append(f"run {run.id} of {task.name} was given up too early: {tries} tries, {lost} lost, {run.reason}")
    return f"{failed} runs failed", bad


def dependants_ran(it):
    """one run of a dependent task for each ended run of what it depends on; a retry is no round"""
    bad, rounds = [], 0
    upstreams = collections.defaultdict(list)
    for row in it.dependencies:
        upstreams[row.task_id].append(row.upstream_id)
    for task, ups in upstreams.items():
        if len(ups) != 1 or it.tasks[task].trigger_rule != "all_done":
            raise SystemExit("checker: can only judge tasks that depend on one task with the rule all_done")
        want = sum(run.task_id == ups[0] and run.triggered_by != "retry" for run in it.runs.values())
        got = sum(run.task_id == task and run.triggered_by == "dependency" for run in it.runs.values())
        rounds += want
        if want != got:
            bad.append(f"{it.tasks[task].name}: {got} runs after {want} runs of {it.tasks[ups[0]].name}")
    return f"{rounds} rounds", bad


PROOFS = [nothing_lost, every_slot_once, skips_are_allowed, no_result_overwritten, results_are_true, second_starts_explained,
          at_most_once, budgets_kept, dependants_ran]


def judge(tables, journal, out=sys.stdout):
    """Names of the proofs that failed."""
    history, failed = History(tables, journal), []
    for proof in PROOFS:
        figure, bad = proof(history)
        print(f"{'FAILED' if bad else 'holds '} {proof.__name__:24} {figure:38} {proof.__doc__}", file=out)
        for row in bad[:20]:
            print(f"       {row}", file=out)
        if len(bad) > 20:
            print(f"       … and {len(bad) - 20} more", file=out)
        if bad:
            failed.append(proof.__name__)
    return failed


def boot_time():
    with open("/proc/uptime", encoding="ascii") as file:
        return round((time.time() - float(file.read().split()[0])) * SECOND)


def watch(database, schema):
    psql(database, schema, WATCH)


def check(database, schema, path):
    with open(path, encoding="utf-8") as lines:
        journal = Journal(lines.read().splitlines(), boot_time())
    return judge(load(database, schema), journal)


def main(arguments):
    if len(arguments) == 3 and arguments[0] == "--watch":
        watch(*arguments[1:])
    elif len(arguments) == 3:
        raise SystemExit(1 if check(*arguments) else 0)
    else:
        raise SystemExit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
