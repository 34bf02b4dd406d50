#!/usr/bin/env python3
"""A chain of tasks that hand results on, with the real scheduler: extract -> transform -> load, by file, variable, argument and
request body; a hostile value stays one argument; what is no output fails its run; no file is left behind.

usage: outputs_test.py PATH_TO_SCHEDULER
"""
import http.server
import json
import os
import sys
import tempfile
import threading
import urllib.error

from scheduler_process import Scheduler, wait_for

HOSTILE = "; rm -rf \"$HOME\" '\n$(touch pwned) `touch pwned` \\ ü ${upstream.extract.n} | & > x"


class Collector(http.server.BaseHTTPRequestHandler):
    bodies = []

    def do_POST(self):
        Collector.bodies.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
        answer = json.dumps({"stored": len(Collector.bodies)}).encode()
        self.send_response(201)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


def main(program):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Collector)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with tempfile.TemporaryDirectory() as directory:
        place, files = os.path.join(directory, "place"), os.path.join(directory, "files")
        os.mkdir(place), os.mkdir(files)
        scheduler = Scheduler(program, os.path.join(directory, "data"))
        scheduler.environment["TMPDIR"] = files
        scheduler.start()

        def make(name, task_type, parameters, **fields):
            return scheduler.call("POST", "/api/tasks", {"name": name, "task_type": task_type, "parameters": parameters}
                                  | fields)["id"]

        def refusal(name, task_type, parameters, **fields):
            try:
                make(name, task_type, parameters, **fields)
            except urllib.error.HTTPError as error:
                return json.load(error)["error"]["details"][0]
            raise AssertionError(f"task {name} was accepted")

        def run_of(task):
            return wait_for(f"the end of a run of task {task}", lambda: next(
                (run for run in scheduler.call("GET", f"/api/tasks/{task}/runs")["items"] if run["ended_at"]), None))

        def trigger(task):
            return scheduler.call("POST", f"/api/tasks/{task}/trigger", {})["runs"][0]["id"]

        def output(run):
            return scheduler.call("GET", f"/api/runs/{run['id']}/output")["output"]

        extract = make("extract", "shell", {"command": "printf '%s' \"$RESULT\" > $SCHEDULER_OUTPUT",
                                            "environment": {"RESULT": json.dumps({"n": 20, "text": HOSTILE}).replace("${", "$${")}})
        transform = make("transform.it", "python", dependencies=["extract"], parameters={
            "working_directory": place, "arguments": ["${upstream.extract.text}", "$${upstream.extract.n}"],
            "environment": {"N": "${upstream.extract.n}"},
            "script": "import json, os, sys\n"
                      "everything = json.load(open(os.environ['SCHEDULER_UPSTREAM_FILE']))\n"
                      "assert everything == json.loads(os.environ['SCHEDULER_UPSTREAM'])\n"
                      "result = {'n': int(os.environ['N']) + 1, 'argv': sys.argv[1:], 'upstream': everything}\n"
                      "json.dump(result, open(os.environ['SCHEDULER_OUTPUT'], 'w'))\n"})
        shown = make("show", "shell", dependencies=["extract"], parameters={
            "working_directory": place, "command": "printf", "args": ["<%s>", "${upstream.extract.text}"]})
        load = make("load", "http", dependencies=["transform.it"], parameters={
            "url": f"http://127.0.0.1:{server.server_port}/", "method": "POST", "capture_output": True,
            "body": {"n": "${upstream.\"transform.it\".n}", "text": "${upstream.\"transform.it\".argv.0}"}})
        last = make("last", "shell", dependencies=["load", "extract"], trigger_rule="all_success", parameters={
            "command": "cp $SCHEDULER_UPSTREAM_FILE $SCHEDULER_OUTPUT"})
        wrong = make("wrong", "shell", dependencies=["extract"], parameters={
            "command": "echo", "args": ["${upstream.extract.nothing}"]}, max_retries=3)

        first = trigger(extract)
        for task in (extract, transform, shown, load, last):
            ended = run_of(task)
            assert ended["state"] == "succeeded", ended
        result = output(run_of(transform))
        assert (result["n"], result["argv"]) == (21, [HOSTILE, "${upstream.extract.n}"]), result
        assert result["upstream"]["extract"]["run_id"] == first, result
        assert result["upstream"]["extract"]["output"] == {"n": 20, "text": HOSTILE}, result
        lines = scheduler.call("GET", f"/api/runs/{run_of(shown)['id']}/logs")["lines"]
        assert "\n".join(line["text"] for line in lines) == f"<{HOSTILE}>", lines
        assert [json.loads(body) for body in Collector.bodies] == [{"n": "21", "text": HOSTILE}], Collector.bodies
        assert output(run_of(load)) == {"stored": 1}
        everything = output(run_of(last))
        assert everything["load"]["output"] == {"stored": 1} and everything["extract"]["output"]["n"] == 20, everything
        ended = run_of(wrong)
        assert (ended["state"], ended["reason"], ended["attempt"]) == ("failed", "output_missing", 1), ended
        assert ended["message"] == "${upstream.extract.nothing}: the output has no 'nothing' there", ended

        # A run that is asked for again gets what the first one got; one by hand waited for nothing.
        again = scheduler.call("POST", f"/api/runs/{run_of(transform)['id']}/retry", {})["runs"][0]["id"]
        ended = scheduler.call("GET", f"/api/runs/{again}?wait=15")
        assert ended["state"] == "succeeded", ended
        assert output(ended)["upstream"]["extract"]["run_id"] == first
        by_hand = scheduler.call("GET", f"/api/runs/{trigger(shown)}?wait=15")
        assert by_hand["message"] == "${upstream.extract.text}: this run waited for no upstream run", by_hand

        for command, reason in (("echo nonsense > $SCHEDULER_OUTPUT", "output_invalid"),
                                ("echo '{}' > $SCHEDULER_OUTPUT; exit 3", "exit_code")):
            run = scheduler.call("GET", f"/api/runs/{trigger(make(reason, 'shell', {'command': command}))}?wait=15")
            assert (run["state"], run["reason"]) == ("failed", reason), run
            try:
                output(run)
                raise AssertionError(f"a failed run has an output: {run}")
            except urllib.error.HTTPError as error:
                assert error.code == 404 and "only a run that succeeds leaves one" in error.read().decode()

        told = refusal("a", "shell", {"command": "echo ${upstream.extract.n}"}, dependencies=["extract"])
        assert told["pointer"] == "/parameters/command" and "executed" in told["message"], told
        told = refusal("a", "shell", {"command": "echo", "args": ["${upstream.transform.n}"]}, dependencies=["extract"])
        assert told["pointer"] == "/parameters/args/0" and "dependencies" in told["message"], told

        assert os.listdir(place) == [], f"a value was executed: {os.listdir(place)}"
        assert [os.listdir(os.path.join(files, mine)) for mine in os.listdir(files)] == [[]], "files are left behind"
        scheduler.kill()
        scheduler.start()
        assert len(os.listdir(files)) == 1, "what the killed process left is still there"
        scheduler.process.terminate()
        assert scheduler.process.wait(timeout=20) == 0
        assert os.listdir(files) == []
    print("outputs go from task to task, and stay what they are")


if __name__ == "__main__":
    main(sys.argv[1])
