"""Looks into the ledger to aim a fault at the right moment and the right process. Never used to judge."""

import contextlib
import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import attrs
import redis

from unstract_devstack.faults.arena import Arena
from unstract_devstack.faults.checker import TERMINAL, Sent
from unstract_devstack.fleet import Worker, WorkerKind
from unstract_devstack.processes import wait_until


@attrs.frozen
class Lease:
    """A batch's lease: who holds it and which file is in flight (0: none)."""

    batch: str
    owner: str
    file: int


def state_of(arena: Arena, sent: Sent) -> str:
    """How far a run is."""
    with contextlib.suppress(redis.RedisError), arena.redis.client(timeout=2.0) as client:
        return str(client.hget(f"uw:{{{sent.execution_id}}}:meta", "state") or "")
    return ""


def armed(arena: Arena, sent: Sent) -> bool:
    """Whether a run's batches are there to be worked on, or more."""
    return state_of(arena, sent) in ("ARMED", "READY", "DONE")


def leases(arena: Arena, sent: Sent) -> list[Lease]:
    """The leases of a run's batches that a worker holds."""
    with arena.redis.client() as client:
        records = client.hgetall(f"uw:{{{sent.execution_id}}}:leases")
    read = [(batch, json.loads(record)) for batch, record in records.items()]
    return [Lease(batch, each["owner"], int(each["file"])) for batch, each in read if each["owner"]]


def owner_of(arena: Arena, lease: Lease) -> Worker | None:
    """The worker that holds a lease, None if its process is gone."""
    pid = int(lease.owner.split(":")[-2])
    return next((each for each in arena.fleet.workers.values() if each.running and each.process.pid == pid), None)


def executed(arena: Arena, sent: Sent) -> int:
    """How many files of an execution were worked on."""
    arena.history.refresh()
    return sum(each.operation == "files.execute" for each in arena.history.of(sent.execution_id))


def status_of(arena: Arena, sent: Sent) -> str:
    """The status that the backend shows."""
    row = arena.history.executions(sent.organization).get(sent.execution_id)
    return row.status if row else ""


def ended(arena: Arena, sent: Sent) -> bool:
    """Whether the backend shows a terminal status."""
    return status_of(arena, sent) in TERMINAL


def until(condition: Callable[[], bool], what: str, *, seconds: float = 30.0) -> None:
    """Returns once something holds.

    Raises:
        TimeoutError: it does not; the experiment could not be set up.
    """
    if not wait_until(condition, seconds=seconds):
        raise TimeoutError(f"not within {seconds:.0f} s: {what}")


@contextlib.contextmanager
def stopped(arena: Arena, *kinds: WorkerKind) -> Iterator[None]:
    """No worker of these kinds runs inside the block; at its end they start again and take work."""
    for kind in kinds:
        for worker in arena.workers(kind):
            worker.kill()
    try:
        yield
    finally:
        arena.heal()


@contextlib.contextmanager
def frozen(arena: Arena, *kinds: WorkerKind) -> Iterator[contextlib.ExitStack]:
    """The workers of these kinds are stopped (SIGSTOP) inside the block, or until what it yields is closed."""
    with contextlib.ExitStack() as stopped:
        for worker in (each for kind in kinds for each in arena.workers(kind)):
            stopped.enter_context(worker.process.frozen())
        yield stopped


def python_path(folder: Path, **modules: str) -> str:
    """A PYTHONPATH that begins with a new folder of these modules, given by name."""
    folder.mkdir(parents=True)
    for name, source in modules.items():
        (folder / f"{name}.py").write_text(source, encoding="utf-8")
    return os.pathsep.join(filter(None, (str(folder), os.environ.get("PYTHONPATH"))))


def pause(seconds: float) -> None:
    """Lets a fault last."""
    time.sleep(seconds)
