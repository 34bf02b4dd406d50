#!/usr/bin/env python3
"""The checker believes a good history and refuses one of each bad kind: a proof that cannot fail proves nothing."""
import io
import sys

import checker
from checker import SECOND, Row

BOOT = 1_000_000 * SECOND  # any whole minute
NAMES = "id name schedule overlap_policy misfire_policy delivery max_retries shard_count status trigger_rule".split()


def task(*values):
    return Row(dict(zip(NAMES, values)), created_at=BOOT, updated_at=BOOT + 10 * SECOND, watermark=None)


def run(number, task_id, state="succeeded", **more):
    return Row(dict(id=number, task_id=task_id, slot=None, shard_index=0, state=state, reason="none", attempt=1,
                    lost_attempts=0, token=1, exit_code=0, triggered_by="manual", created_at=BOOT,
                    ended_at=BOOT + 9 * SECOND) | more)


def attempt(run_id, number=1, token=1, state="succeeded", **more):
    return Row(dict(run_id=run_id, number=number, token=token, state=state, reason="none", worker="w1", exit_code=0,
                    ended_at=BOOT + 3 * SECOND) | more)


def good():
    """Two tasks of a schedule, one dependent one; a lost attempt, a failed one, and a cancelled run."""
    tables = {
        "now": [Row(now=BOOT + 10 * SECOND)],
        "tasks": [task(1, "every", "*/2 * * * * *", "allow", "all", "at_least_once", 0, 2, "paused", "all_success"),
                  task(2, "forbidding", "*/5 * * * * *", "forbid", "all", "at_least_once", 0, 1, "paused", "all_success"),
                  task(3, "flaky", None, "allow", "all", "at_least_once", 1, 1, "active", "all_success"),
                  task(4, "once", None, "allow", "all", "at_most_once", 0, 1, "active", "all_success"),
                  task(5, "after", None, "allow", "all", "at_least_once", 0, 1, "active", "all_done")],
        "dependencies": [Row(task_id=5, upstream_id=4)],
        "runs": [], "attempts": [], "slots": [], "overwritten": [],
    }
    lines = []

    def executed(row, *attempts):
        tables["runs"].append(row)
        for a in attempts:
            tables["attempts"].append(a)
            lines.append(f"{row.id} {a.number} {a.token} {a.worker} start {(a.ended_at - BOOT) / SECOND - 1:.2f}")
            if a.state in ("succeeded", "failed"):
                lines.append(f"{row.id} {a.number} {a.token} {a.worker} end:{a.exit_code} {(a.ended_at - BOOT) / SECOND - .5:.2f}")

    number = 100
    for owner, step, shards in ((1, 2, 2), (2, 5, 1)):
        tables["tasks"][owner - 1]["watermark"] = BOOT + 10 * SECOND
        for second in range(step, 11, step):
            for shard in range(shards):
                number += 1
                slot = Row(task_id=owner, first_slot=BOOT + second * SECOND, slot=BOOT + second * SECOND, shard=shard,
                           run_id=number, disposition="fired", reason="none", decided_at=BOOT + second * SECOND)
                tables["slots"].append(slot)
                executed(run(number, owner, slot=slot.slot, shard_index=shard, triggered_by="schedule"), attempt(number))
    for owner, reason in ((1, "paused"), (2, "overlap")):  # a range of fire times, noted once
        tables["tasks"][owner - 1]["watermark"] = BOOT + 20 * SECOND
        first = 12 if owner == 1 else 15
        tables["slots"].append(Row(task_id=owner, first_slot=BOOT + first * SECOND, slot=BOOT + 20 * SECOND, shard=0, run_id=None,
                                   disposition="skipped", reason=reason, decided_at=BOOT + 20 * SECOND))
    executed(run(1, 3, attempt=3, lost_attempts=1, token=5),
             attempt(1, 1, 1, "lost", exit_code=None, worker="w2", reason="worker_lost"),
             attempt(1, 2, 3, "failed", exit_code=1, reason="exit_code", ended_at=BOOT + 5 * SECOND),
             attempt(1, 3, 5, ended_at=BOOT + 8 * SECOND))
    executed(run(2, 4, "failed", lost_attempts=1, token=2, exit_code=None, reason="worker_lost"),
             attempt(2, 1, 1, "lost", exit_code=None, reason="worker_lost"))
    executed(run(3, 5, triggered_by="dependency"), attempt(3))
    executed(run(4, 3, "cancelled", exit_code=None, reason="cancelled_by_user", attempt=0, token=0))
    lines += ["acknowledged 1", "acknowledged 2", "acknowledged 4", "1 1 1 w2 end:0 8.00"]
    return tables, lines


def row(tables, table, **wanted):
    return next(it for it in tables[table] if all(it[name] == value for name, value in wanted.items()))


def removed(table, **wanted):
    return lambda tables, lines: tables[table].remove(row(tables, table, **wanted))


def changed(table, changes, **wanted):
    return lambda tables, lines: row(tables, table, **wanted).update(changes)


def copied(table, changes, **wanted):
    return lambda tables, lines: tables[table].append(Row(row(tables, table, **wanted), **changes))


def said(line):
    return lambda tables, lines: lines.append(line)


def unsaid(line):
    return lambda tables, lines: lines.remove(line)


CASES = [
    ("a good history", None, lambda tables, lines: None),
    # lost
    ("an acknowledged run is gone", "nothing_lost", removed("runs", id=4)),
    ("a run never ends", "nothing_lost", changed("runs", {"state": "pending", "ended_at": None}, id=4)),
    ("a process of an unknown run", "nothing_lost", said("77 1 1 w1 start 3.00")),
    ("half a line", "nothing_lost", said("77 1 1 w1")),
    # slots
    ("a slot is missing", "every_slot_once", removed("slots", task_id=2, run_id=111)),
    ("a shard is missing", "every_slot_once", removed("slots", task_id=1, run_id=101)),
    ("a slot is decided twice", "every_slot_once", copied("slots", {"run_id": None, "disposition": "skipped"}, run_id=111)),
    ("a skipped range overlaps", "every_slot_once", changed("slots", {"first_slot": BOOT + 10 * SECOND}, task_id=1, shard=0,
                                                            disposition="skipped")),
    ("a slot has two runs", "every_slot_once", copied("runs", {"id": 500}, id=101)),
    ("a fired slot without a run", "every_slot_once", changed("slots", {"run_id": 999}, run_id=101)),
    ("a run of a slot that nobody noted", "every_slot_once", changed("runs", {"slot": BOOT + 30 * SECOND}, id=101)),
    ("a slot that the schedule does not name", "every_slot_once",
     copied("slots", {"slot": BOOT + 30 * SECOND, "first_slot": BOOT + 30 * SECOND}, run_id=101)),
    ("a schedule that stands still", "every_slot_once", changed("tasks", {"updated_at": BOOT + 40 * SECOND}, id=1)),
    ("skipped for a reason the policy does not know", "skips_are_allowed",
     changed("slots", {"reason": "overlap"}, task_id=1, disposition="skipped")),
    ("skipped as too late, in time", "skips_are_allowed", changed("slots", {"reason": "misfire"}, task_id=1, disposition="skipped")),
    # results
    ("something that has ended was changed", "no_result_overwritten",
     lambda tables, lines: tables["overwritten"].append(Row(what="UPDATE task_runs", before="a", after="b"))),
    ("two results", "no_result_overwritten", copied("attempts", {"number": 2, "token": 2}, run_id=101)),
    ("a result of an earlier token", "no_result_overwritten", changed("attempts", {"token": 6}, run_id=1, number=2)),
    ("the run says something else than its attempt", "no_result_overwritten", changed("runs", {"state": "failed"}, id=101)),
    ("an attempt is gone", "no_result_overwritten", removed("attempts", run_id=1, number=2)),
    ("a success of which its process knows nothing", "results_are_true", unsaid("101 1 1 w1 end:0 2.50")),
    ("a success of a process that failed", "results_are_true", changed("attempts", {"exit_code": 1}, run_id=101)),
    ("the result of another worker's process", "results_are_true", changed("attempts", {"worker": "w9"}, run_id=101)),
    # starts
    ("one attempt began twice", "second_starts_explained", said("101 1 1 w1 start 2.10")),
    ("a second start that nothing explains", "second_starts_explained", said("101 1 2 w2 start 2.10")),
    ("a second start before the loss was on record", "second_starts_explained",
     changed("attempts", {"ended_at": BOOT + 6 * SECOND}, run_id=1, number=1)),
    ("a start after the end", "second_starts_explained", said("4 1 1 w1 start 9.90")),
    ("at most once, begun twice", "at_most_once", said("2 1 2 w1 start 2.90")),
    ("at most once, dispatched twice", "at_most_once", copied("attempts", {"number": 2, "token": 2}, run_id=2)),
    # budgets
    ("more attempts than allowed", "budgets_kept", changed("tasks", {"max_retries": 0}, id=3)),
    ("given up with an attempt left", "budgets_kept",
     lambda tables, lines: (row(tables, "runs", id=1).update(state="failed", exit_code=1),
                            tables["attempts"].remove(row(tables, "attempts", run_id=1, number=3)),
                            row(tables, "tasks", id=3).update(max_retries=3))),
    ("given up after one loss", "budgets_kept", changed("tasks", {"delivery": "at_least_once"}, id=4)),
    ("a loss that was not counted", "budgets_kept", changed("runs", {"lost_attempts": 0}, id=1)),
    # dependencies
    ("a dependent task did not run", "dependants_ran", changed("runs", {"triggered_by": "manual"}, id=3)),
    ("a dependent task ran twice", "dependants_ran", copied("runs", {"id": 501}, id=3)),
]


def main():
    wrong = []
    for name, proof, spoil in CASES:
        tables, lines = good()
        spoil(tables, lines)
        said_out = io.StringIO()
        failed = checker.judge(tables, checker.Journal(lines, BOOT), said_out)
        if (proof not in failed) if proof else failed:
            wrong.append(f"{name}: refused for {failed}, not for {proof}\n{said_out.getvalue()}")
    never = {proof.__name__ for proof in checker.PROOFS} - {proof for _, proof, _ in CASES}
    if never:
        wrong.append(f"no case makes these fail: {never}")
    # As the store's client writes them.
    rows = checker.read_rows("id,name,slot\n7,\"a, b\",\n")
    if rows != [{"id": 7, "name": "a, b", "slot": None}]:
        wrong.append(f"rows are read as {rows}")
    print("\n".join(wrong) or f"{len(CASES) - 1} bad histories refused, a good one believed")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
