"""The scheduler as processes of its own, on a fresh schema and names of its own at the broker."""
import os
import secrets

from private_servers import ask
from scheduler_process import Scheduler


PRODUCTION = os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "..", "config", "production.toml")


class Cluster:
    def __init__(self, programs, directory, database, broker, broker_type, worker_timeout=3, slots=4,
                 database_for_programs=None, **settings):
        """`settings`: for every process, as SCHEDULER_ variables without that prefix."""
        self.programs, self.directory, self.parts, self.slots = programs, directory, {}, slots
        self.schema = "cluster_" + secrets.token_hex(4)
        self.server = database
        ask(database, f"CREATE SCHEMA {self.schema}")
        # Beside the URLs only what keeps tests apart and makes them quick.
        self.shared = {"CONFIG": PRODUCTION, "MESSAGE_QUEUE__TYPE": broker_type,
                       "MESSAGE_QUEUE__URL_FILE": self.secret("broker", broker), "MESSAGE_QUEUE__PREFIX": self.schema,
                       "WORKER__HEARTBEAT_INTERVAL_SECONDS": "1",
                       "DISPATCHER__WORKER_TIMEOUT_SECONDS": str(worker_timeout)} | settings
        url = f"{database_for_programs or database}?options=-csearch_path%3D{self.schema}"
        self.store = {"DATABASE__URL_FILE": self.secret("database", url), "DATABASE__MAX_CONNECTIONS": "3"}

    def secret(self, name, text):
        path = os.path.join(self.directory, name)
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            file.write(text + "\n")
        return path

    def ask(self, sql):
        return ask(self.server, f"SET search_path = {self.schema}; {sql}")

    def start(self, kind, name, **own):
        """`own`: settings of this process alone."""
        # A worker is told of no database at all.
        settings = self.shared | own | (
            {"WORKER__WORKER_ID": name, "WORKER__SLOTS": str(self.slots)} if kind == "worker" else self.store)
        part = Scheduler(os.path.join(self.programs, f"scheduler-{kind}"), os.path.join(self.directory, name), **settings)
        part.log = os.path.join(self.directory, name + ".log")
        part.start()
        self.parts[name] = part
        return part

    def close(self):
        for part in self.parts.values():
            if part.process.poll() is None:
                part.process.terminate()
        codes = {name: part.process.wait(timeout=30) for name, part in self.parts.items()}
        ask(self.server, f"DROP SCHEMA {self.schema} CASCADE")
        return codes
