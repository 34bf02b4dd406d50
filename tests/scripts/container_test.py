#!/usr/bin/env python3
"""What linters cannot know of docker-compose.yml and Dockerfile: they fit this project, and keep secrets.

usage: container_test.py ROOT PROGRAM…     the programs as they were built
"""
import os
import pathlib
import re
import shutil
import subprocess
import sys

import yaml

SECRET = re.compile(r"PASS")


def services(root):
    return yaml.safe_load((root / "docker-compose.yml").read_text())["services"]


def check_secrets(root, faults):
    """Every password is asked for, none has a default, and none is in an image."""
    text = (root / "docker-compose.yml").read_text()
    for name, how in re.findall(r"\$\{(\w*PASSWORD\w*)(\W?\W?)", text):
        if how not in (":?", ":-"):
            faults.append(f"docker-compose.yml uses ${{{name}}} without ':?', so that an empty one would pass")
    for default in re.findall(r"\$\{\w*PASSWORD\w*:-([^}]+)\}", text):
        faults.append(f"docker-compose.yml has a default password: {default}")
    if SECRET.search((root / "Dockerfile").read_text()):
        faults.append("Dockerfile speaks of a password")
    if ".env" not in (root / ".dockerignore").read_text().split():
        faults.append(".dockerignore lets .env into the image")


def check_services(root, faults):
    known = services(root)
    for name, service in known.items():
        image = service.get("image", "")
        if not re.search(r":\d+\.\d+$", image):
            faults.append(f"image of {name} is not pinned to major.minor: '{image}'")
        if "ports" in service:
            faults.append(f"{name} is published, and the API has no accounts yet")
    for name in ("api", "dispatcher", "worker"):
        environment = known[name]["environment"]
        settings = environment if isinstance(environment, dict) else {}
        if name == "worker" and any("DATABASE" in key for key in settings):
            faults.append("worker is told of the database")
        program = known[name]["command"][0]
        if program != f"scheduler-{name}":
            faults.append(f"{name} runs {program}")
    if "store" in known["worker"]["networks"]:
        faults.append("worker can reach the store")


def check_worker_may_drain(root, faults):
    drain = int(re.search(r"drain_timeout_seconds = (\d+)", (root / "config/production.toml").read_text()).group(1))
    grace = int(services(root)["worker"]["stop_grace_period"].removesuffix("s"))
    if grace <= drain:
        faults.append(f"stop_grace_period of worker, {grace} s, is not longer than its drain timeout, {drain} s")


def stages(root):
    text = (root / "Dockerfile").read_text().replace("\\\n", " ")
    return [stage for stage in re.split(r"^FROM ", text, flags=re.M)[1:]]


def check_image(root, programs, faults):
    build, final = stages(root)
    if not re.search(r"^USER (?!root|0\b)\S+", final, re.M):
        faults.append("the programs of the image run as root")
    for line in re.findall(r"^COPY (?!--from)(.*)$", build + final, re.M):
        for source in line.split()[:-1]:
            if not (root / source).exists():
                faults.append(f"Dockerfile copies {source}, which is not there")
    built = set(re.search(r"dev build release (.*)", build).group(1).split())
    named = {pathlib.Path(program).name for program in programs}
    if built != named:
        faults.append(f"the image holds {sorted(built)}, the project builds {sorted(named)}")
    if not shutil.which("dpkg-query"):
        return
    installed = set(re.search(r"--no-install-recommends (.*?)&&", final, re.S).group(1).split())
    brought_along = {"libc6", "libgcc-s1", "libboost-container1.81.0"}
    for program in programs:
        places = dict(re.findall(r"(\S+) => (/\S+)", said_by("ldd", program)))
        for library in re.findall(r"NEEDED\s+(\S+)", said_by("objdump", "-p", program)):
            owner = package_of(places[library])
            if owner not in installed | brought_along:
                faults.append(f"{os.path.basename(program)} needs {library}, and Dockerfile does not install {owner}")


def said_by(*command):
    return subprocess.run(command, capture_output=True, text=True).stdout


def package_of(library):
    """/lib is /usr/lib, and a package may know a file by either name."""
    real = os.path.realpath(library)
    for path in (real, real.removeprefix("/usr")):
        if found := said_by("dpkg-query", "-S", path):
            return found.split(":")[0]
    return "?"


def main(root, *programs):
    root, faults = pathlib.Path(root), []
    check_secrets(root, faults)
    check_services(root, faults)
    check_worker_may_drain(root, faults)
    check_image(root, programs, faults)
    print("\n".join(faults) or "docker-compose.yml and Dockerfile fit the project")
    return 1 if faults else 0


sys.exit(main(*sys.argv[1:]))
