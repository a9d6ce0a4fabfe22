"""A page over a real database and a real Redis, with rows put there as the backend and the workers put them."""

import json
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from attrs import define, field

from unstract_devstack.backend.database import Database
from unstract_devstack.page import PageHandle, Sources, running_page
from unstract_devstack.page.backend_rows import BackendRows
from unstract_devstack.page.ledger_keys import LedgerKeys
from unstract_devstack.page.server import Bounds
from unstract_devstack.page.sources import Start, WorkerLine
from unstract_devstack.page.stream import Pace
from unstract_devstack.redis_server import RedisHandle, running_redis
from unstract_devstack.sink import Delivery

HASTE = Bounds(watchers=2, pace=Pace(look=0.02, heartbeat=0.05, again=0.1))


@define
class Scene:
    """What there is to see, and the sources that see it."""

    database: Database
    redis: redis.Redis
    redis_url: str
    logged: list[Any] = field(factory=list)
    delivered: list[Delivery] = field(factory=list)
    started: list[str] = field(factory=list)
    start: Callable[[], str | None] = lambda: None
    looks: int = 0
    published: dict[str, str] = field(factory=dict)

    def sources(self) -> Sources:
        return Sources(
            backend=BackendRows(self.database.path),
            ledger=LedgerKeys.connect(self.redis_url),
            log_events=lambda channel: self.logged,
            deliveries=self._look,
            workers=lambda: [WorkerLine("callback", True, "http://127.0.0.1:1/health"), WorkerLine("general", False)],
            starts={"api": Start("Run it", "Runs it", self._start)},
        )

    def _start(self) -> str | None:
        return self.start()

    def _look(self) -> list[Delivery]:
        self.looks += 1
        return self.delivered

    def execution(self, status: str = "COMPLETED", title: str = "documents", **columns: Any) -> str:
        at = time.time()
        with self.database.write():
            api_id = self.published.get(title) or self._publish(title)
            row = {"total_files": 1, "status": status, "pipeline_id": api_id, "created": at, "modified": at, **columns}
            return self.database.add("executions", organization_pk=1, workflow_id="w", **row)

    def _publish(self, title: str) -> str:
        api_id = self.published[title] = str(uuid.uuid4())
        row = {"id": api_id, "organization_pk": 1, "workflow_id": "w", "api_name": title, "display_name": title}
        self.database.insert("api_deployments", created_at="", modified_at="", **row)
        return api_id

    def file(
        self,
        execution_id: str,
        name: str,
        status: str = "COMPLETED",
        result: Any = None,
        summary: str = "",
        **columns: Any,
    ) -> str:
        file_id = str(uuid.uuid4())
        row = {"file_name": name, "file_hash": file_id, "created": 0, "modified": 0, "status": status, **columns}
        with self.database.write():
            self.database.insert("file_executions", id=file_id, execution_id=execution_id, **row)
            if result is not None:
                written = {"execution_id": execution_id, "file_execution_id": file_id, "status": "success"}
                self.database.insert("results", result=json.dumps(result), summary=summary, **written)
        return file_id

    def effect(self, execution_id: str, operation: str, file: str | None = None, **detail: Any) -> None:
        row = {"execution_id": execution_id, "operation": operation, "file": file, "detail": json.dumps(detail)}
        self.database.insert("effects", at=time.time(), **row)

    def run(self, run_id: str, **meta: str) -> None:
        self.redis.sadd("uw:open", run_id)
        self.redis.hset(f"uw:{{{run_id}}}:meta", mapping={"state": "ARMED", "task": "execution", "n": "2", **meta})


@pytest.fixture(scope="session")
def page_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisHandle]:
    with running_redis(tmp_path_factory.mktemp("page-redis"), appendonly=False) as handle:
        yield handle


@pytest.fixture
def scene(tmp_path: Path, page_redis: RedisHandle) -> Iterator[Scene]:
    database = Database(tmp_path / "backend.sqlite3")
    database.insert("organizations", organization_id="org_dev", name="dev", created_at="")
    database.insert("workflows", id="w", organization_pk=1, name="w", type="API", created_at="", modified_at="")
    with page_redis.client() as client:
        client.flushall()
        yield Scene(database, client, page_redis.url)
    database.close()


@pytest.fixture
def served(scene: Scene) -> Iterator[PageHandle]:
    """The scene's page, in a hurry."""
    with running_page(scene.sources(), bounds=HASTE) as handle:
        yield handle
