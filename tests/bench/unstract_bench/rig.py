"""The set-up of every measure: one Redis, one backend double, the workers as processes, and the sender."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from secrets import token_hex

from attrs import define, frozen

from unstract_bench.double.client import DoubleProcess, running_double
from unstract_bench.workload import Load, start
from unstract_devstack.fleet import FILE_PROCESSING, WORKERS, Fleet, Worker, WorkerKind, running_fleet
from unstract_devstack.processes import ManagedProcess, inherited_environment, wait_until
from unstract_devstack.producer import Producer
from unstract_devstack.redis_server import RedisHandle, running_redis
from unstract_devstack.stack import worker_environment

# The client masks its key wherever an answer repeats it: it must be no word of the answers.
API_KEY = token_hex(24)
START_SECONDS = 60.0
WAIT_SECONDS, WAIT_SECONDS_A_FILE = 120.0, 0.01
# The Redis commands with which Celery's consumers wait: of kombu, and of the workers' transport.
CELERY_WAITS = ("brpop", "blmove")
# The recheck of a finished run would fall into another measure's time. Measures that count it set it themselves.
NO_RECHECK = {"WORKER_RECHECK_SECONDS": "86400"}
# As docker/Dockerfile sets them; for the baselines too.
OF_IMAGES = {"MALLOC_MMAP_THRESHOLD_": "131072", "MALLOC_TRIM_THRESHOLD_": "131072"}


class RunFailed(Exception):
    """A load did not end as expected: its figures would be meaningless."""


@frozen
class Result:
    """One run of a load: when its start message was sent and its terminal status answered (monotonic clock)."""

    execution_id: str
    began: float
    ended: float

    @property
    def seconds(self) -> float:
        """The duration."""
        return self.ended - self.began


@define
class Rig:
    """The processes that run for the whole of a measure."""

    directory: Path
    redis: RedisHandle
    double: DoubleProcess
    producer: Producer

    def run(self, load: Load, *, record: bool = False) -> Result:
        """Put one execution through the workers; `record`: the double keeps the calls' bodies.

        Raises RunFailed if it does not end COMPLETED with all files.
        """
        self.double.reset(record=record)
        execution_id, began = start(self.producer, self.double, load)
        over = self.double.wait_over(execution_id, seconds=WAIT_SECONDS + WAIT_SECONDS_A_FILE * load.files)
        if over["status"] != "COMPLETED" or over.get("successful_files") != load.files:
            raise RunFailed(f"the execution of {load.files} files ended as {dict(over)}")
        with self.redis.client() as client:
            # The callback worker cleans up and notifies after the terminal status: those calls count too.
            if not wait_until(lambda: client.hget(f"uw:{{{execution_id}}}:meta", "state") == "DONE", seconds=30):
                raise RunFailed("the terminal status was written, but the run was not closed")
            results = [client.llen(key) for key in client.scan_iter(f"api_results:*:{execution_id}", count=1000)]
            if results != ([load.files] if load.kind == "api" else []):
                raise RunFailed(f"there are API results of {results} files")
            # The lines for the platform's UI, which are not read here.
            client.delete("celery_log_task_queue")
        return Result(execution_id, began, over["over_at"])

    def wait_rechecked(self) -> None:
        """Wait until every finished run was rechecked. Raises RunFailed."""
        with self.redis.client() as client:
            if not wait_until(lambda: client.zcard("uw:due") == 0, seconds=30):
                raise RunFailed("a finished run was not rechecked")


@contextlib.contextmanager
def running_rig(directory: Path) -> Iterator[Rig]:
    """Redis (append-only file on, as it should be) and the double, until the block is left."""
    directory.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as parts:
        redis = parts.enter_context(running_redis(directory / "redis"))
        double = parts.enter_context(running_double(directory))
        producer = Producer(redis.url)
        parts.callback(producer.close)
        yield Rig(directory, redis, double, producer)


def environment_of(rig: Rig, name: str, slots: int) -> dict[str, str]:
    """The variables of a worker of this name, which calls the double under it."""
    environment = worker_environment(
        backend_url=rig.double.url(name), api_key=API_KEY, redis_url=rig.redis.url, broker_url=rig.redis.url
    )
    return environment | OF_IMAGES | NO_RECHECK | {"CELERY_CONCURRENCY": str(slots)}


@contextlib.contextmanager
def running_workers(
    rig: Rig,
    *,
    slots: int = 16,
    file_slots: int | None = None,
    kinds: Sequence[WorkerKind] = WORKERS,
    settings: Mapping[str, str] | None = None,
) -> Iterator[Fleet]:
    """The real workers with so many slots each, ready. A kind that is named twice gives two workers."""
    with contextlib.ExitStack() as parts:
        workers = dict[str, Worker]()
        for kind in dict.fromkeys(kinds):
            many = file_slots if file_slots is not None and kind == FILE_PROCESSING else slots
            environment = environment_of(rig, kind.name, many) | dict(settings or {})
            same = [each for each in kinds if each == kind]
            workers |= parts.enter_context(running_fleet(environment, rig.directory / "logs", kinds=same)).workers
        yield Fleet(workers)


def process_of(rig: Rig, name: str, command: Sequence[str], environment: Mapping[str, str]) -> ManagedProcess:
    """A process of the measure, not started yet."""
    log = rig.directory / f"{name.replace(' ', '-')}.log"
    return ManagedProcess(name, command, inherited_environment() | OF_IMAGES | dict(environment), log)


@contextlib.contextmanager
def running_process(process: ManagedProcess, rig: Rig, waits_with: tuple[str, ...] = CELERY_WAITS) -> Iterator[None]:
    """The process waits for messages, until the block is left. Raises ProcessError if it does not get there."""
    before = waiting(rig, waits_with)
    with process.serving(lambda: waiting(rig, waits_with) > before, seconds=START_SECONDS, grace=3.0):
        yield


def waiting(rig: Rig, commands: tuple[str, ...] = CELERY_WAITS) -> int:
    """How many connections to Redis wait with one of these commands (or last used it)."""
    with rig.redis.client() as client:
        return sum(1 for each in client.client_list() if each.get("cmd", "").startswith(commands))
