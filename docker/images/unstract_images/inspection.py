"""Whether running containers are as closed as the compose file says: asked of the engine and from inside."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from unstract_images.building import tag_of
from unstract_images.deployed import Site
from unstract_images.running import ImagesError
from unstract_images.workers import WORKERS, Worker

__all__ = ["check_containers", "check_redis"]

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


def check_containers(site: Site) -> None:
    """Looks at each worker's container. Raises ImagesError with everything that is wrong."""
    problems = [f"{worker.name}: {problem}" for worker in WORKERS for problem in _problems(site, worker)]
    if problems:
        raise ImagesError("\n".join(problems))


def check_redis(site: Site) -> None:
    """The ledger's Redis takes what workers need and refuses everything else. Raises ImagesError."""
    redis = site.one("redis")
    if redis["HostConfig"]["PortBindings"]:
        raise ImagesError("Redis publishes a port")
    if len(redis["NetworkSettings"]["Networks"]) != 1:
        raise ImagesError("Redis is in more than the ledger's network")
    ask = ASK_LEDGER.format(commands=DENIED)
    allowed = site.engine.call("exec", "-i", site.one("callback")["Id"], PYTHON, "-c", ask).split("\n")
    if any(allowed):
        raise ImagesError(f"the ledger's user may {', '.join(filter(None, allowed))}")


def _problems(site: Site, worker: Worker) -> Iterator[str]:
    container = site.one(worker.name)
    yield from _as_told(container, worker)
    probe = PROBE.read_text(encoding="utf-8")
    told = json.loads(site.engine.call("exec", container["Id"], PYTHON, "-c", probe))
    if told.pop("user") != [USER] * 4:
        yield f"does not run as {USER}"
    yield from (f"{what}: {found}" for what, found in told.items() if found)


def _as_told(container: dict[str, Any], worker: Worker) -> Iterator[str]:
    """What the engine was told about a container."""
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
