"""Whether running containers are as closed as the compose file says: asked of the engine and from inside."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from deployed import Site
from unstract_images.building import tag_of
from unstract_images.workers import Worker

__all__ = ["DENIED", "denied_commands", "problems"]

PYTHON = "/opt/worker/bin/python"
USER = "10001"
PROBE = Path(__file__).with_name("probe.py")
LABELS = ("title", "version", "licenses", "revision", "base.name")
DENIED = ("FLUSHALL", "CONFIG GET *", "KEYS *", "GET celery", "SHUTDOWN")
ASK_LEDGER = """\
import redis
ledger = redis.Redis.from_url(open("/run/secrets/ledger_url").read())
ledger.smembers("uw:organizations")
for command in {commands}:
    try:
        ledger.execute_command(*command.split(" "))
        print(command)
    except redis.exceptions.NoPermissionError:
        pass
"""


def denied_commands(site: Site) -> set[str]:
    """Which of DENIED the ledger's Redis refuses to its user, from a worker's container."""
    ask = ASK_LEDGER.format(commands=DENIED)
    allowed = site.engine.call("exec", "-i", site.one("callback")["Id"], PYTHON, "-c", ask).split("\n")
    return set(DENIED) - set(allowed)


def problems(site: Site, worker: Worker) -> Iterator[str]:
    """In what a worker's running container is less closed than the compose file says."""
    container = site.one(worker.name)
    yield from _as_told(container, worker)
    probe = PROBE.read_text(encoding="utf-8")
    reported = json.loads(site.engine.call("exec", container["Id"], PYTHON, "-c", probe))
    if reported.pop("user") != [USER] * 4:
        yield f"does not run as {USER}"
    yield from (f"{what}: {found}" for what, found in reported.items() if found)


def _as_told(container: dict[str, Any], worker: Worker) -> Iterator[str]:
    """The settings of a container as the engine has them."""
    host, labels = container["HostConfig"], container["Config"]["Labels"]
    if not host["ReadonlyRootfs"]:
        yield "its root is writable"
    if not host["Memory"] or not host["NanoCpus"]:
        yield "has no limit of memory or CPU"
    if host["RestartPolicy"]["Name"] != "unless-stopped":
        yield "is not restarted"
    for bindings in (host["PortBindings"] or {}).values():
        if any(binding["HostIp"] != "127.0.0.1" for binding in bindings):
            yield "publishes a port beyond loopback"
    missing = [name for name in LABELS if not labels.get(f"org.opencontainers.image.{name}")]
    if missing:
        yield f"has no label {', '.join(missing)}"
    if labels.get("org.opencontainers.image.version") != tag_of(worker).partition(":")[2]:
        yield "its label names another version"
