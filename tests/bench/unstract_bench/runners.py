"""The runners of tasks that the workers are compared with, as processes, and how work is handed to each."""

import asyncio
import contextlib
import os
import time
from collections.abc import Callable, Iterator

from attrs import field, frozen
from celery import Celery

from unstract_bench.environment import program
from unstract_bench.rig import CELERY_WAITS, Rig, process_of, running_process
from unstract_bench.workload import CALLS_A_FILE
from unstract_devstack.processes import ManagedProcess

BASELINES = "unstract_bench.baselines"
THREADS = ("-P", "threads", "-l", "WARNING")
LEAN = ("--without-mingle", "--without-gossip", "--without-heartbeat")
# Hands over one batch: the double's root and the files' numbers.
Send = Callable[[str, list[int]], object]


@frozen
class Runner:
    """A runner of tasks. `queue` is the Redis list that it waits for; `sender` makes what hands work to it."""

    name: str
    command: tuple[str, ...]
    queue: str
    slots: int
    sender: Callable[[Rig], contextlib.AbstractContextManager[Send]] = field(repr=False)
    waits_with: tuple[str, ...] = CELERY_WAITS

    def put_through(self, rig: Rig, name: str, files: int, batches: int) -> float:
        """Hand over so many files and wait for all their calls, which the double knows by `name`; the seconds of that."""
        rig.double.reset()
        with self.sender(rig) as send:
            began = time.monotonic()
            for start in range(batches):  # round robin, as the workers make their batches
                send(rig.double.url(name), list(range(start, files, batches)))
            rig.double.wait_calls(name, CALLS_A_FILE * files)
            return time.monotonic() - began

    def process(self, rig: Rig) -> ManagedProcess:
        """The process, not started yet."""
        environment = {"BENCH_REDIS": rig.redis.url, "BENCH_QUEUE": self.queue}
        return process_of(rig, self.name, (program(self.command[0]), *self.command[1:]), environment)


@contextlib.contextmanager
def running(rig: Rig, runner: Runner) -> Iterator[ManagedProcess]:
    """The runner, waiting for work, until the block is left."""
    process = runner.process(rig)
    with running_process(process, rig, runner.waits_with):
        yield process


def bare_celery(slots: int, *, pool: str = "threads", lean: bool = False, number: int = 1) -> Runner:
    """Celery by its own command. `lean`: without mingle, gossip and heartbeat. `number` tells equal ones apart."""
    queue = f"bench_celery_{pool}_{slots}_{number}"
    flags = ("-P", pool, "-c", str(slots), "-l", "WARNING", *(LEAN if lean else ()), "-Q", queue)
    command = ("celery", "-A", f"{BASELINES}.celery_files", "worker", *flags)

    @contextlib.contextmanager
    def sender(rig: Rig) -> Iterator[Send]:
        with Celery("sender", broker=rig.redis.url, set_as_current=False) as app:
            app.conf.task_ignore_result = True
            yield lambda root, files: app.send_task("bench.batch", [root, files], queue=queue)

    name = f"bare Celery {pool} {slots}" + (f" no. {number}" if number > 1 else "")
    return Runner(name, command, queue, slots, sender)


def chord_worker(slots: int) -> tuple[str, ...]:
    """The command of a worker of the chord baseline."""
    return (program("celery"), "-A", f"{BASELINES}.chord_app", "worker", *THREADS, "-c", str(slots), *LEAN)


def dramatiq(slots: int) -> Runner:
    """dramatiq with threads. It polls with a script."""
    command = ("dramatiq", f"{BASELINES}.dramatiq_files", "--processes", "1", "--threads", str(slots))
    return Runner(f"dramatiq threads {slots}", command, "bench_dramatiq", slots, _dramatiq, waits_with=("evalsha",))


def taskiq(slots: int) -> Runner:
    """taskiq with asyncio."""
    limits = ("--workers", "1", "--max-async-tasks", str(slots), "--max-prefetch", "0")
    command = ("taskiq", "worker", f"{BASELINES}.taskiq_files:broker", *limits, "--log-level", "WARNING")
    return Runner(f"taskiq asyncio {slots}", command, "bench_taskiq", slots, _taskiq)


@contextlib.contextmanager
def _dramatiq(rig: Rig) -> Iterator[Send]:
    os.environ["BENCH_REDIS"] = rig.redis.url  # the module reads it, here as in its worker
    from unstract_bench.baselines.dramatiq_files import batch

    yield batch.send


@contextlib.contextmanager
def _taskiq(rig: Rig) -> Iterator[Send]:
    os.environ["BENCH_REDIS"] = rig.redis.url
    from unstract_bench.baselines.taskiq_files import batch, broker

    with asyncio.Runner() as loop:
        loop.run(broker.startup())
        yield lambda root, files: loop.run(batch.kiq(root, files))
        loop.run(broker.shutdown())
