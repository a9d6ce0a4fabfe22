"""A reference backend with a real Redis for each test that asks for one."""

import json
import time
from base64 import b64decode
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis
from attrs import define, field

from unstract_devstack.backend import BackendConfig, running
from unstract_devstack.redis_server import running_redis

KEY = "test-internal-key"


@define
class Stack:
    """One backend and what a test does with it."""

    client: httpx.Client
    redis: redis.Redis
    data: Path
    url: str
    created: dict[str, str] = field(factory=dict)

    def post(self, path: str, body: Any, *, key: str | None = None) -> Any:
        """POST JSON as organization acme; the answer must be a success."""
        headers = {"Idempotency-Key": key} if key else {}
        answer = self.client.post(path, json=body, headers=headers)
        assert answer.status_code < 300, f"{path}: {answer.status_code} {answer.text}"
        return answer.json()

    def get(self, path: str, **query: str) -> Any:
        """GET JSON; the answer must be a success."""
        answer = self.client.get(path, params=query)
        assert answer.status_code < 300, f"{path}: {answer.status_code} {answer.text}"
        return answer.json()

    def workflow(self, kind: str = "api", **more: Any) -> str:
        """A workflow of organization acme."""
        self.post("/dev/organizations", {"organization_id": "acme", "name": "Acme"})
        body = {"organization_id": "acme", "name": kind, "kind": kind, **more}
        return str(self.post("/dev/workflows", body)["workflow_id"])

    def api(self, name: str = "invoices", **more: Any) -> tuple[str, str, str]:
        """A published API: the ids of its workflow and itself, and its path."""
        workflow_id = self.workflow(**more)
        body = {"organization_id": "acme", "workflow_id": workflow_id, "api_name": name, "display_name": name.title()}
        made = self.post("/dev/api-deployments", body)
        return workflow_id, made["api_id"], made["url"]

    def pipeline(self, workflow_id: str, **more: Any) -> str:
        """A pipeline of a workflow."""
        body = {"organization_id": "acme", "workflow_id": workflow_id, "name": "nightly", "type": "ETL", **more}
        return str(self.post("/dev/pipelines", body)["pipeline_id"])

    def execution(self, workflow_id: str, pipeline_id: str | None = None) -> str:
        """A PENDING execution, created as the general worker creates it."""
        body = {"workflow_id": workflow_id, "pipeline_id": pipeline_id, "log_events_id": "room"}
        return str(self.post("/internal/v1/workflow-manager/execution/create/", body)["execution_id"])

    def upload(self, path: str, files: dict[str, bytes] | list[tuple[str, bytes]], **form: Any) -> httpx.Response:
        """Send files to the public face."""
        pairs = files.items() if isinstance(files, dict) else files
        parts = [("files", (name, content)) for name, content in pairs]
        return self.client.post(path, files=parts, data=form)

    def sent(self, queue: str) -> list[tuple[dict[str, Any], Any]]:
        """The messages on a queue, oldest first: headers and the decoded body."""
        raw = [json.loads(text) for text in self.redis.lrange(queue, 0, -1)]
        return [(message["headers"], json.loads(b64decode(message["body"]))) for message in reversed(raw)]

    def effects(self, operation: str) -> list[dict[str, Any]]:
        """The applied effects of one operation."""
        return list(self.get("/dev/history", operation=operation))


def until(condition: Callable[[], Any], seconds: float = 10.0) -> Any:
    """The first true value of a condition. Fails at the deadline."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError("the condition did not become true in time")


@pytest.fixture(name="until")
def until_fixture() -> Callable[..., Any]:
    return until


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_redis(tmp_path_factory.mktemp("redis")) as handle:
        yield handle.url


@pytest.fixture
def start(tmp_path: Path, broker: str) -> Iterator[Callable[..., Stack]]:
    """Starts backends with settings; the Redis is emptied before each."""
    with ExitStack() as stack:

        def started(**settings: Any) -> Stack:
            connection = redis.Redis.from_url(broker, decode_responses=True)
            stack.callback(connection.close)
            connection.flushall()
            values = {"data": tmp_path / "data", "api_key": KEY, "broker_url": broker, "redis_url": broker}
            config = BackendConfig(**{**values, "poll_seconds": 0.02, "buffer_loop": False, **settings})
            handle = stack.enter_context(running(config))
            headers = {"Authorization": f"Bearer {KEY}", "X-Organization-ID": "acme"}
            client = httpx.Client(base_url=handle.public_url, headers=headers, trust_env=False, timeout=20)
            stack.enter_context(client)
            return Stack(client, connection, config.data, handle.public_url)

        yield started


@pytest.fixture
def stack(start: Callable[..., Stack]) -> Stack:
    return start()
