"""What a worker costs and what it says of itself: for experiments about memory, connections and metrics."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import psutil
from attrs import frozen

from unstract_devstack.faults.arena import Arena
from unstract_devstack.fleet import Worker
from unstract_devstack.http_calls import call

SEVERE = ("error", "critical")


@frozen
class Cost:
    """What a process holds: resident memory in MiB, open files (sockets among them), threads."""

    memory: float
    files: int
    threads: int


def cost_of(pid: int) -> Cost:
    """What a process holds now."""
    process = psutil.Process(pid)
    with process.oneshot():
        return Cost(process.memory_info().rss / 2**20, process.num_fds(), process.num_threads())


def counted(arena: Arena, metric: str, **labels: str) -> float:
    """A counter of the workers, summed over those that run and over what the labels leave open."""
    total = 0.0
    for worker in arena.fleet.workers.values():
        page = call("GET", f"{worker.health_url.removesuffix('/health')}/metrics").body.decode()
        for found, value in re.findall(rf"^{metric}(\{{[^}}]*\}})? (\S+)$", page, re.MULTILINE):
            if all(f'{name}="{wanted}"' in found for name, wanted in labels.items()):
                total += float(value)
    return total


def lasting_keys(arena: Arena) -> set[str]:
    """The keys in Redis that nothing takes away: those without an end of their own."""
    with arena.redis.client() as client:
        return {key for key in client.scan_iter(count=1000) if client.ttl(key) == -1}


def log_ends(arena: Arena) -> dict[str, int]:
    """How long each worker's log is now."""
    return {name: _log(worker).stat().st_size for name, worker in arena.fleet.workers.items()}


def errors_since(arena: Arena, ends: dict[str, int]) -> list[str]:
    """What the workers have logged as an error since `log_ends` gave these."""
    return [error for name, end in ends.items() for error in _errors(arena.fleet.workers[name], end)]


def _errors(worker: Worker, start: int) -> Iterator[str]:
    with _log(worker).open("rb") as file:
        file.seek(start)
        for line in file.read().decode(errors="replace").splitlines():
            content = json.loads(line) if line.startswith("{") else {}
            if content.get("level") in SEVERE:
                yield f"{worker.name}: {content.get('event')}"


def _log(worker: Worker) -> Path:
    return worker.process.log_path
