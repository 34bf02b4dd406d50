"""The real scheduler as a process of a test."""
import json
import os
import re
import signal
import subprocess
import time
import urllib.error
import urllib.request


# Of the first account of every scheduler that a test starts: the one place where tests sign in.
ADMIN, PASSWORD = "admin", "tests know this sentence"
PERMISSIONS = ["task_read", "task_write", "task_delete", "worker_read", "worker_write", "system_read"]


class Scheduler:
    def __init__(self, program, data_dir, **settings):
        """`settings`: further SCHEDULER_ variables, without that prefix."""
        self.program, self.data_dir, self.process, self.url = program, data_dir, None, None
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith("SCHEDULER_")}
        self.environment |= {"SCHEDULER_AUTH__BOOTSTRAP_ADMIN_PASSWORD": PASSWORD,
                             "SCHEDULER_API__REQUESTS_PER_SECOND": "0"}  # tests ask as fast as they can
        self.environment |= {"SCHEDULER_" + name: value for name, value in settings.items()}
        self.api_key = None  # kept over restarts: it is in the store
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
                if self.url and not self.api_key:
                    self.sign_in()
                return
        raise SystemExit(f"the scheduler did not start; exit code {self.process.wait()}")

    def sign_in(self):
        tokens = wait_for("the login", self.log_in)
        self.api_key = self.call("POST", "/auth/api-keys", {"name": "test", "permissions": PERMISSIONS},
                                 Authorization="Bearer " + tokens["access_token"])["api_key"]

    def log_in(self):
        try:
            return self.call("POST", "/auth/login", {"username": ADMIN, "password": PASSWORD})
        except urllib.error.HTTPError as refusal:
            if refusal.code != 503:  # the store may be away at this moment
                raise
            return None

    def headers(self):
        """What every request carries."""
        key = {"Authorization": "Bearer " + self.api_key} if self.api_key else {}
        return {"Content-Type": "application/json"} | key

    def call(self, method, path, body=None, **headers):
        request = urllib.request.Request(self.url + path, method=method,
                                         data=None if body is None else json.dumps(body).encode(),
                                         headers=self.headers() | headers)
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
