"""The real scheduler as a process of a test."""
import json
import os
import re
import signal
import subprocess
import time
import urllib.request


class Scheduler:
    def __init__(self, program, data_dir, **settings):
        """`settings`: further SCHEDULER_ variables, without that prefix."""
        self.program, self.data_dir, self.process, self.url = program, data_dir, None, None
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith("SCHEDULER_")}
        self.environment |= {"SCHEDULER_" + name: value for name, value in settings.items()}
        self.log = os.devnull  # where what it says after "ready" is appended

    def start(self):
        self.process = subprocess.Popen(
            [self.program, "--data-dir", self.data_dir, "--bind", "127.0.0.1:0", "--log-format", "json"],
            stderr=subprocess.PIPE, text=True, env=self.environment)
        for line in self.process.stderr:
            if found := re.search(r'"port":"?(\d+)', line):
                self.url = f"http://127.0.0.1:{found.group(1)}"
            if '"msg":"ready"' in line:
                with open(self.log, "ab") as log:  # it must not fill the pipe
                    subprocess.Popen(["cat"], stdin=self.process.stderr, stdout=log)
                return
        raise SystemExit(f"the scheduler did not start; exit code {self.process.wait()}")

    def call(self, method, path, body=None, **headers):
        request = urllib.request.Request(self.url + path, method=method,
                                         data=None if body is None else json.dumps(body).encode(),
                                         headers={"Content-Type": "application/json"} | headers)
        with urllib.request.urlopen(request, timeout=20) as reply:
            return json.load(reply)["data"]

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


def wait_for(what, condition, seconds=30):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if seen := condition():
            return seen
        time.sleep(0.05)
    raise SystemExit(f"waited {seconds} s in vain for: {what}")
