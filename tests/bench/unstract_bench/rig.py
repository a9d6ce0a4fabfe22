"""What every measure stands on: one Redis, one backend double, the workers as processes, and the sender."""

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from secrets import token_hex

from attrs import define

from unstract_bench.double.process import Counts, DoubleProcess, running_double
from unstract_bench.workload import Load, start
from unstract_devstack.fleet import WORKERS, Fleet, Worker, WorkerKind, running_fleet
from unstract_devstack.processes import wait_until
from unstract_devstack.producer import Producer
from unstract_devstack.redis_server import RedisHandle, running_redis
from unstract_devstack.stack import worker_environment

__all__ = ["API_KEY", "Ground", "NotDone", "Ran", "running_ground", "running_workers"]


# The client masks its key wherever an answer repeats it: it must be no word of the answers.
API_KEY = token_hex(24)


class NotDone(Exception):
    """A load did not end as it must: its figures would mean nothing."""


@define
class Ran:
    """One run of a load: seconds from the start message to the terminal status, and what was called."""

    seconds: float
    counts: Counts


@define
class Ground:
    """What runs for the whole of a measure."""

    directory: Path
    redis: RedisHandle
    double: DoubleProcess
    producer: Producer

    def run(self, load: Load) -> Ran:
        """Put one execution through the workers that run.

        Raises NotDone if it does not end COMPLETED with all files.
        """
        self.double.reset()
        began = time.monotonic()
        execution_id = start(self.producer, self.double, load)
        told = self.double.wait_over(execution_id)
        seconds = time.monotonic() - began
        self._wait_done(execution_id)
        ran = Ran(seconds, self.double.counts())
        if told["status"] != "COMPLETED" or told.get("successful_files") != load.files:
            raise NotDone(f"the execution of {load.files} files ended as {dict(told)}")
        if load.kind == "api":
            self._check_results(execution_id, load)
        return ran

    def _wait_done(self, execution_id: str) -> None:
        """The callback worker still cleans up and notifies after the terminal status: those calls count too."""
        with self.redis.client() as client:
            if not wait_until(lambda: client.hget(f"uw:{{{execution_id}}}:meta", "state") == "DONE", seconds=30):
                raise NotDone("the terminal status was written, but the run was not closed")

    def _check_results(self, execution_id: str, load: Load) -> None:
        with self.redis.client() as client:
            keys = [
                key for key in client.scan_iter(match=f"*{execution_id}*", count=1000) if client.type(key) == "list"
            ]
            lengths = {key: client.llen(key) for key in keys if "api_results" in key}
        if list(lengths.values()) != [load.files]:
            raise NotDone(f"the API results are {lengths}, not one list of {load.files}")

    def forget_logs(self) -> None:
        """Drop the lines for the platform's UI, which nobody reads here."""
        with self.redis.client() as client:
            client.delete("celery_log_task_queue")


@contextlib.contextmanager
def running_ground(directory: Path) -> Iterator[Ground]:
    """Redis (append-only file on, as it should be) and the double, until the block is left."""
    directory.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as parts:
        redis = parts.enter_context(running_redis(directory / "redis"))
        double = parts.enter_context(running_double(directory))
        producer = Producer(redis.url)
        parts.callback(producer.close)
        yield Ground(directory, redis, double, producer)


@contextlib.contextmanager
def running_workers(
    ground: Ground,
    *,
    slots: int,
    file_slots: int | None = None,
    kinds: Sequence[WorkerKind] = WORKERS,
    settings: Mapping[str, str] | None = None,
) -> Iterator[Fleet]:
    """The real workers with so many slots each, ready; each calls the double under its own name."""
    with contextlib.ExitStack() as parts:
        fleet = Fleet()
        for kind in kinds:
            worker = parts.enter_context(_running_worker(ground, kind, slots, file_slots, settings or {}))
            fleet.workers[kind.name] = worker
        yield fleet


@contextlib.contextmanager
def _running_worker(
    ground: Ground, kind: WorkerKind, slots: int, file_slots: int | None, settings: Mapping[str, str]
) -> Iterator[Worker]:
    many = file_slots if file_slots is not None and kind.name == "file-processing" else slots
    environment = worker_environment(
        backend_url=ground.double.url(kind.name),
        api_key=API_KEY,
        redis_url=ground.redis.url,
        broker_url=ground.redis.url,
    )
    environment |= {"CELERY_CONCURRENCY": str(many), **settings}
    with running_fleet(environment, ground.directory / "logs", kinds=(kind,)) as fleet:
        yield fleet.workers[kind.name]
