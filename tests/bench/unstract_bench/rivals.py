"""The runners of tasks that the workers are compared with, as processes, and how work is handed to each."""

import contextlib
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from attrs import field, frozen

from unstract_bench.plain import program
from unstract_bench.rig import Ground, NotDone
from unstract_devstack.processes import ManagedProcess, inherited_environment, wait_until

__all__ = ["CELERY_WAITS", "Rival", "bare_celery", "dramatiq", "running_rival", "taskiq"]

START_SECONDS = 60.0
_HERE = "unstract_bench.baselines"
# What Celery's consumers wait with: kombu's own, and the workers' transport.
CELERY_WAITS = ("brpop", "blmove")
# Hands over one batch: the double's root and the files' numbers.
Send = Callable[[str, list[int]], None]


@frozen
class Rival:
    """A runner of tasks. `queue` is the Redis list that it waits on; `send` makes its sender once it runs."""

    name: str
    command: tuple[str, ...]
    queue: str
    slots: int
    send: Callable[[Ground], contextlib.AbstractContextManager[Send]] = field(repr=False)
    waits_with: str | tuple[str, ...] = CELERY_WAITS


@contextlib.contextmanager
def running_rival(ground: Ground, rival: Rival) -> Iterator[ManagedProcess]:
    """The rival, waiting for work, until the block is left."""
    process = ManagedProcess(
        name=rival.name,
        command=(program(rival.command[0]), *rival.command[1:]),
        environment={**inherited_environment(), "BENCH_REDIS": ground.redis.url, "BENCH_QUEUE": rival.queue},
        log_path=ground.directory / f"{rival.name.replace(' ', '-')}.log",
    )
    before = waiting(ground, rival.waits_with)
    process.start()
    try:
        wait_until(lambda: not process.running or waiting(ground, rival.waits_with) > before, seconds=START_SECONDS)
        if not process.running or waiting(ground, rival.waits_with) <= before:
            raise process.failure("did not come to wait for work")
        yield process
    finally:
        process.stop(grace=3.0)


def waiting(ground: Ground, command: str | tuple[str, ...]) -> int:
    """How many connections to Redis wait with this command or one of these (or last used it)."""
    with ground.redis.client() as client:
        return sum(1 for each in client.client_list() if each.get("cmd", "").startswith(command))


def bare_celery(slots: int, *, pool: str = "threads", lean: bool = False, name: str = "") -> Rival:
    """Celery by its own command. `lean`: without mingle, gossip and heartbeat."""
    queue = f"bench_celery_{pool}_{slots}{'_lean' if lean else ''}"
    flags = ("--without-mingle", "--without-gossip", "--without-heartbeat") if lean else ()
    command = ("celery", "-A", f"{_HERE}.bare_celery", "worker", "-P", pool, "-c", str(slots), "-l", "WARNING", *flags)
    return Rival(name or f"bare Celery {pool} {slots}", (*command, "-Q", queue), queue, slots, _celery(queue))


def dramatiq(slots: int) -> Rival:
    """dramatiq with threads."""
    command = ("dramatiq", f"{_HERE}.dramatiq_files", "--processes", "1", "--threads", str(slots))
    # It polls with a script.
    return Rival(f"dramatiq threads {slots}", command, "bench_dramatiq", slots, _dramatiq, waits_with="evalsha")


def taskiq(slots: int) -> Rival:
    """taskiq with asyncio."""
    limits = ("--workers", "1", "--max-async-tasks", str(slots), "--max-prefetch", "0")
    command = ("taskiq", "worker", f"{_HERE}.taskiq_files:broker", *limits, "--log-level", "WARNING")
    return Rival(f"taskiq asyncio {slots}", command, "bench_taskiq", slots, _taskiq)


def deal(files: int, batches: int) -> Sequence[list[int]]:
    """File numbers in batches, round robin as the workers deal them."""
    return [list(range(start, files, batches)) for start in range(batches)]


def _celery(queue: str) -> Callable[[Ground], contextlib.AbstractContextManager[Send]]:
    @contextlib.contextmanager
    def sender(ground: Ground) -> Iterator[Send]:
        from celery import Celery

        app = Celery("sender", broker=ground.redis.url, set_as_current=False)
        app.conf.task_ignore_result = True
        try:
            yield lambda root, files: app.send_task("bench.batch", [root, files], queue=queue) and None
        finally:
            app.close()

    return sender


@contextlib.contextmanager
def _dramatiq(ground: Ground) -> Iterator[Send]:
    os.environ["BENCH_REDIS"] = ground.redis.url  # the module reads it, here as in its worker
    from unstract_bench.baselines.dramatiq_files import batch

    yield lambda root, files: batch.send(root, files) and None


@contextlib.contextmanager
def _taskiq(ground: Ground) -> Iterator[Send]:
    import asyncio

    os.environ["BENCH_REDIS"] = ground.redis.url
    from unstract_bench.baselines.taskiq_files import batch, broker

    loop = asyncio.new_event_loop()
    loop.run_until_complete(broker.startup())

    def send(root: str, files: list[int]) -> None:
        loop.run_until_complete(batch.kiq(root, files))

    try:
        yield send
    finally:
        loop.run_until_complete(broker.shutdown())
        loop.close()


def check_known(rivals: Sequence[Rival]) -> None:
    """Raises NotDone where the environment has not what a rival needs."""
    for rival in rivals:
        if not (Path(sys.executable).parent / rival.command[0]).exists():
            raise NotDone(f"{rival.command[0]} is not installed here: run `hatch run bench`")
