"""Servers of one test alone, started and stopped by scripts/services.sh in a directory of their own."""
import os
import shutil
import subprocess
import urllib.error

PSQL = "/usr/lib/postgresql/15/bin/psql"
PROGRAMS = {"postgres": "/usr/lib/postgresql/15/bin/postgres", "redis": "/usr/bin/redis-server",
            "rabbitmq": "/usr/lib/rabbitmq/bin/rabbitmq-server"}


def missing(names):
    """Those of the servers that are not installed here."""
    return [name for name in names if not os.path.exists(PROGRAMS[name])]


class Servers:
    def __init__(self, services, directory, *names):
        self.services, self.directory, self.names = services, directory, names
        self.environment = os.environ | {"SCHEDULER_SERVICES_DIR": directory}
        self.up()
        with open(os.path.join(directory, "env"), encoding="utf-8") as lines:
            urls = dict(line.rstrip("\n").split("=", 1) for line in lines)
        self.urls = {name: urls[f"SCHEDULER_TEST_{name.upper()}_URL"] for name in names}

    def up(self, *names):
        self._do("up", names)

    def down(self, *names):
        self._do("down", names)

    def kill(self, *names):
        self._do("kill", names)

    def lose_data(self, name):
        """Of a broker that is down: it begins anew, with nothing."""
        shutil.rmtree(os.path.join(self.directory, name, {"rabbitmq": "mnesia", "redis": "appendonlydir"}[name]))

    def ask(self, sql):
        return ask(self.urls["postgres"], sql)

    def _do(self, word, names):
        subprocess.run([self.services, word, *(names or self.names)], env=self.environment, check=True)


def ask(database, sql):
    return subprocess.run([PSQL, database, "-XAtqc", sql], check=True, capture_output=True, text=True).stdout.strip()


def even_while_away(condition):
    """The same condition, not met while server or scheduler cannot be asked."""
    def asked():
        try:
            return condition()
        except (OSError, urllib.error.URLError, subprocess.CalledProcessError):
            return None
    return asked
