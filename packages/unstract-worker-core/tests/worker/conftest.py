"""A real worker process running the tiny worker, and what tests ask of it."""

import json
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from attrs import define
from redis import Redis

from unstract_devstack.ports import free_port
from unstract_devstack.processes import ManagedProcess, inherited_environment, wait_until
from unstract_devstack.redis_server import RedisHandle
from unstract_worker_core.testing import environment_for

SAMPLE = Path(__file__).parent / "sample"
OWN = ("-m", "tiny_worker", "run")


@define
class TinyWorker:
    """A worker process under test."""

    process: ManagedProcess
    health_port: int

    def get(self, path: str) -> tuple[int, dict]:
        """Status and JSON of a health page; 0 without a listener."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.health_port}{path}", timeout=5) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read())
        except OSError:
            return 0, {}

    def metrics(self) -> str:
        """Its metrics in Prometheus' text format."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.health_port}/metrics", timeout=5) as answer:
            return answer.read().decode()

    def wait_ready(self) -> None:
        """Wait until it consumes."""
        if not wait_until(lambda: not self.process.running or self.get("/health/ready")[0] == 200, seconds=30):
            raise self.process.failure("is not ready")
        if not self.process.running:
            raise self.process.failure("ended")

    def terminate(self) -> None:
        """SIGTERM."""
        self.process.terminate()

    def exit_code(self, *, seconds: float = 20) -> int | None:
        """The exit code; None if it did not end in time."""
        self.process.wait(seconds=seconds)
        return self.process.exit_code

    @property
    def log(self) -> str:
        """All that it logged."""
        return self.process.log_path.read_text()


Start = Callable[..., TinyWorker]


@pytest.fixture
def start_worker(redis_server: RedisHandle, redis: Redis, tmp_path: Path) -> Iterator[Start]:
    """Start a tiny worker with these variables; ended after the test."""
    started: list[TinyWorker] = []

    def start(*command: str, ready: bool = True, **variables: str) -> TinyWorker:
        variables = {"CALLBACK_HEALTH_PORT": str(free_port()), "PYTHONPATH": str(SAMPLE), **variables}
        environment = inherited_environment() | environment_for(redis_url=redis_server.url, **variables)
        port = int(variables["CALLBACK_HEALTH_PORT"]) if variables["CALLBACK_HEALTH_PORT"].isdigit() else 0
        process = ManagedProcess(
            "tiny worker", (sys.executable, *(command or OWN)), environment, tmp_path / f"worker-{len(started)}.log"
        )
        worker = TinyWorker(process, port)
        started.append(worker)
        process.start()
        if ready:
            worker.wait_ready()
        return worker

    yield start
    for worker in started:
        worker.process.kill()


def envelope_of(task: str, queue: str, body: object, headers: dict) -> dict:
    """A task message as kombu's Redis transport keeps it; tests change it as they need."""
    task_id = str(uuid4())
    given = {"lang": "py", "task": task, "id": task_id, "retries": 0, "timelimit": [None, None], "root_id": task_id}
    return {
        "body": json.dumps(body),
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": given | headers,
        "properties": {
            "correlation_id": task_id,
            "delivery_mode": 2,
            "delivery_info": {"exchange": "", "routing_key": queue},
            "priority": 0,
            "delivery_tag": str(uuid4()),
        },
    }


@pytest.fixture
def send(redis: Redis) -> Callable[..., None]:
    """Put a task message on a queue, as any producer on Redis does; parts of it can be replaced."""

    def put(
        task: str,
        queue: str = "uw_callback",
        body: object = None,
        *,
        headers: object = None,
        raw: str | None = None,
        **changes,
    ) -> None:
        given = headers if isinstance(headers, dict) else {}
        envelope = envelope_of(task, queue, [[], {}, {}] if body is None else body, given)
        if headers is not None and not isinstance(headers, dict):
            envelope["headers"] = headers
        if raw is not None:
            envelope["body"] = raw
        redis.lpush(queue, json.dumps(envelope | {name.replace("_", "-"): value for name, value in changes.items()}))

    return put


@pytest.fixture
def envelope() -> Callable[..., dict]:
    """Makes a message without sending it."""
    return envelope_of


@pytest.fixture
def ended(redis: Redis) -> Callable[..., bool]:
    """Whether the named tasks have ended, waiting for it."""

    def wait(*names: str, key: str = "ended", seconds: float = 15) -> bool:
        return wait_until(lambda: set(names) <= set(redis.lrange(key, 0, -1)), seconds=seconds)

    return wait
