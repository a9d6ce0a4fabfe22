"""Looks into ledger, processes and metrics to aim a fault at the right moment and the right process. Never a verdict."""

import contextlib
import json
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import redis
from attrs import frozen

from unstract_devstack.faults.arena import Arena
from unstract_devstack.faults.checker import TERMINAL, Sent
from unstract_devstack.fleet import Worker, WorkerKind
from unstract_devstack.http_calls import call
from unstract_devstack.processes import wait_until

STATES = ("", "ACCEPTED", "ARMED", "READY", "DONE")
SEVERE = ("error", "critical")


@frozen
class Lease:
    """A batch's lease: who holds it and which file is in flight (0: none)."""

    owner: str
    file: int


def leases(arena: Arena, sent: Sent) -> list[Lease]:
    """The leases of a run's batches that a worker holds."""
    records = arena.store.hvals(f"uw:{{{sent.execution_id}}}:leases")
    return [Lease(each["owner"], int(each["file"])) for each in map(json.loads, records) if each["owner"]]


def owner_of(arena: Arena, lease: Lease) -> Worker | None:
    """The worker that holds a lease, None if its process is gone."""
    pid = int(lease.owner.split(":")[-2])
    return next((each for each in arena.fleet.workers.values() if each.running and each.process.pid == pid), None)


def busy_worker(arena: Arena, *sent: Sent) -> Worker:
    """A worker that has a file in flight, once each of the executions has one. Raises TimeoutError."""

    def busy(one: Sent) -> list[Lease]:
        return [each for each in leases(arena, one) if each.file]

    until(lambda: all(map(busy, sent)), "files are in flight")
    owners = (owner_of(arena, lease) for one in sent for lease in busy(one))
    worker = next(filter(None, owners), None)
    if worker is None:
        raise TimeoutError("the owner is gone")
    return worker


def executed(arena: Arena, sent: Sent) -> int:
    """How many files of an execution were worked on."""
    return sum(each.operation == "files.execute" for each in arena.effects(sent))


def ended(arena: Arena, *sent: Sent) -> bool:
    """Whether the backend shows a terminal status of each."""
    return all(arena.row(each).status in TERMINAL for each in sent)


def until(condition: Callable[[], bool], what: str, *, seconds: float = 30.0) -> None:
    """Returns once something holds.

    Raises:
        TimeoutError: it does not; the experiment could not be set up.
    """
    if not wait_until(condition, seconds=seconds):
        raise TimeoutError(f"not within {seconds:.0f} s: {what}")


def until_state(arena: Arena, state: str, *sent: Sent) -> None:
    """Returns once these runs are that far, or further. Raises TimeoutError."""

    def reached(one: Sent) -> bool:
        with contextlib.suppress(redis.RedisError):
            shown = arena.store.hget(f"uw:{{{one.execution_id}}}:meta", "state") or ""
            return STATES.index(shown) >= STATES.index(state)
        return False

    until(lambda: all(map(reached, sent)), f"runs are {state}")


def until_executed(arena: Arena, files: int, *sent: Sent) -> None:
    """Returns once so many files of each were worked on. Raises TimeoutError."""
    until(lambda: all(executed(arena, each) >= files for each in sent), f"{files} files are done")


def until_ended(arena: Arena, *sent: Sent, seconds: float = 75.0) -> None:
    """Returns once all of them have ended. Raises TimeoutError."""
    until(lambda: ended(arena, *sent), "the executions end", seconds=seconds)


@contextlib.contextmanager
def stopped(arena: Arena, kind: WorkerKind) -> Iterator[None]:
    """No worker of this kind runs inside the block; at its end they start again and take work."""
    for worker in arena.fleet.of(kind):
        worker.kill()
    try:
        yield
    finally:
        arena.heal()


@contextlib.contextmanager
def frozen_workers(arena: Arena, *kinds: WorkerKind) -> Iterator[contextlib.ExitStack]:
    """The workers of these kinds are stopped (SIGSTOP) inside the block, or until what it yields is closed."""
    with contextlib.ExitStack() as frozen_ones:
        for worker in (each for kind in kinds for each in arena.fleet.of(kind)):
            frozen_ones.enter_context(worker.process.frozen())
        yield frozen_ones


def python_path(folder: Path, **modules: str) -> str:
    """A PYTHONPATH that begins with a new folder of these modules, given by name."""
    folder.mkdir(parents=True)
    for name, source in modules.items():
        (folder / f"{name}.py").write_text(source, encoding="utf-8")
    return os.pathsep.join(filter(None, (str(folder), os.environ.get("PYTHONPATH"))))


@frozen
class Cost:
    """What a process holds: resident memory in MiB, open files (sockets among them), threads."""

    memory: float
    files: int
    threads: int


def cost_of(pid: int) -> Cost:
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


def log_ends(arena: Arena) -> dict[str, int]:
    return {name: worker.process.log_end() for name, worker in arena.fleet.workers.items()}


def errors_since(arena: Arena, ends: dict[str, int]) -> Iterator[str]:
    """What the workers have logged as an error since `log_ends` gave these."""
    for name, end in ends.items():
        for line in arena.fleet.workers[name].process.log_after(end).splitlines():
            content = json.loads(line) if line.startswith("{") else {}
            if content.get("level") in SEVERE:
                yield f"{name}: {content.get('event')}"
