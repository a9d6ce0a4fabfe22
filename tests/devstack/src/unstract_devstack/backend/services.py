"""What every view works with, the call that it answers, and the organization that the call is of."""

import json
import logging
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import redis
from attrs import define, field, frozen
from starlette.requests import Request
from starlette.responses import Response

from unstract_devstack.backend.config import BackendConfig
from unstract_devstack.backend.database import Database, Row, given
from unstract_devstack.backend.faults import Fault
from unstract_devstack.backend.log_drain import LogEvents
from unstract_devstack.backend.wire import MalformedJson, refuse
from unstract_devstack.producer import Producer, SendFailed, StartOptions

log = logging.getLogger(__name__)

NOWHERE = -1
"""A number that no organization has: a filter by it finds nothing."""
MOST = 2**63 - 1
"""What SQLite holds."""
STATUS_SECONDS = 10_800


def status_key(workflow_id: str, execution_id: str) -> str:
    """Where Redis holds an execution's status."""
    return f"execution:{workflow_id}:{execution_id}"


@frozen
class Services:
    """The parts of one backend. `requests`: what was asked so far. `faults`: in the order in which they were set."""

    config: BackendConfig
    database: Database
    cache: redis.Redis | None
    broker: Producer | None
    requests: list[dict[str, Any]] = field(factory=list)
    faults: list[Fault] = field(factory=list)
    logs: LogEvents = field(factory=LogEvents)

    @classmethod
    def open(cls, config: BackendConfig) -> "Services":
        """Open the database under the data directory and connect what is configured."""
        config.data.mkdir(parents=True, exist_ok=True)
        cache = producer = None
        if config.redis_url:
            times = {"socket_timeout": 2, "socket_connect_timeout": 2}
            cache = redis.Redis.from_url(config.redis_url, decode_responses=True, **times)
        if config.broker_url:
            options = {"quorum_queues": config.quorum_queues, "confirmed": config.confirm_publish}
            producer = Producer(config.broker_url, **options)
        return cls(config, Database(config.data / "backend.sqlite3"), cache, producer)

    @property
    def root(self) -> Path:
        """The directory that staged paths are relative to."""
        return self.config.data

    @property
    def producer(self) -> Producer:
        """The sending side. Raises Refused with 503 where no broker is configured."""
        if self.broker is None:
            raise refuse(503, error="no broker is configured: start the reference backend with a broker URL")
        return self.broker

    @property
    def platform_redis(self) -> "redis.Redis":
        """The platform's Redis. Raises Refused with 503 where none is configured."""
        if self.cache is None:
            raise refuse(503, error="no Redis is configured: start the reference backend with a Redis URL")
        return self.cache

    def organization(self, identifier: object) -> Row | None:
        """The tenant with exactly this identifier."""
        return self.database.get("organizations", organization_id=identifier)

    def resolved(self, value: str) -> Row | None:
        """The tenant of a header: all digits are a number, so that an identifier of digits only can not be found."""
        if value.isdigit():
            return self.database.get("organizations", pk=int(value)) if int(value) <= MOST else None
        return self.organization(value)

    def create_execution(self, **values: Any) -> str:
        """The id of a new PENDING execution."""
        with self.database.write():
            execution_id = self.database.add("executions", **values)
        self.mirror(execution_id)
        return execution_id

    def start(
        self, owner: Row, execution_id: str, files: Mapping[str, Any], queue: str | None, *, use_file_history: bool
    ) -> None:
        """Send the start message of an execution, which ends in ERROR if the broker does not take it.

        `owner`: the API deployment or pipeline, as its view shows it.
        """
        ids, options = (owner["organization_id"], owner["workflow_id"]), StartOptions(owner["id"], use_file_history)
        try:
            task_id = self.producer.start_execution(*ids, execution_id, files, options, queue)
        except SendFailed as problem:
            self.database.update("executions", execution_id, status="ERROR", error_message=str(problem)[:256])
            raise
        self.database.update("executions", execution_id, task_id=task_id)

    def mirror(self, execution_id: str) -> None:
        """Write an execution's status into Redis, as each save of a row does; only API runs have a total there.

        A Redis that does not answer is logged and fails no request.
        """
        row = self.database.get("shown_executions", id=execution_id)
        if row is None or self.cache is None:
            return
        status: dict[Any, Any] = {
            "workflow_id": row["workflow_id"],
            "execution_id": row["id"],
            "status": row["status"],
            "total_files": row["total_files"] if row["workflow_type"] == "API" else 0,
            "completed_files": row["successful_files"] or 0,
            "failed_files": row["failed_files"] or 0,
        }
        key = status_key(row["workflow_id"], execution_id)
        try:
            with self.cache.pipeline(transaction=True) as pipeline:
                pipeline.hset(key, mapping=status)
                pipeline.expire(key, STATUS_SECONDS)
                pipeline.execute()
        except redis.RedisError as problem:
            log.warning("status cache not written for execution %s: %s", execution_id, problem)

    def close(self) -> None:
        """Close everything; no view may be running."""
        for part in (self.cache, self.broker, self.database):
            if part is not None:
                part.close()


@define
class Call:
    """One request on its way through a view.

    ``after`` holds what is done once the view's transaction is in the database, such as writing to Redis.
    ``keep``: a slow view hands it its answer inside the transaction that applies its effect, so that a repeat of
    its idempotency key finds both or neither. ``header``: the organization that the request names.
    """

    services: Services
    request: Request
    body: bytes = field(repr=False)
    header: str | None
    after: list[Callable[[], None]] = field(factory=list)
    keep: Callable[[Response], None] = lambda answer: None

    @property
    def database(self) -> Database:
        """The backend's database."""
        return self.services.database

    @property
    def path(self) -> str:
        """The request's path."""
        return str(self.request.scope["path"])

    @property
    def key(self) -> str | None:
        """The idempotency key, if the caller sent one."""
        return self.request.headers.get("idempotency-key")

    @property
    def query(self) -> Mapping[str, str]:
        """The query's fields."""
        return self.request.query_params

    def parameter(self, name: str = "id") -> str:
        """What the path holds in this place."""
        return str(self.request.path_params[name])

    def json(self) -> Any:
        """The body as JSON; an empty one is an empty object. Raises MalformedJson."""
        if not self.body.strip():
            return {}
        try:
            return json.loads(self.body)
        except ValueError as problem:
            raise MalformedJson(str(problem)) from problem

    def fields(self, *required: str, **refusal: Any) -> dict[str, Any]:
        """The body as a JSON object. A list or a scalar fails as it does in the real views.

        Raises Refused with 400 and this content where a required field is missing or empty.
        """
        body = self.json()
        if not isinstance(body, dict):
            raise AttributeError(f"'{type(body).__name__}' object has no attribute 'get'")  # noqa: TRY004 as there
        if not all(body.get(name) for name in required):
            raise refuse(400, **refusal)
        return body

    @cached_property
    def current(self) -> str | None:
        """The organization's identifier: of the header, or of the tenant whose number the header holds."""
        found = self.services.resolved(self.header) if self.header else None
        return found["organization_id"] if found else self.header

    def managed(self) -> int:
        """The organization's number for views over managed models: no header finds nothing."""
        found = self.services.organization(self.current)
        return found["pk"] if found else NOWHERE

    def filtered(self) -> int | None:
        """The same for views that filter by hand: no header means every tenant's rows (None)."""
        if self.current is None:
            return None
        found = self.services.resolved(self.current)
        return found["pk"] if found else NOWHERE

    def demanded(self) -> Row:
        """The organization, for views that read the header themselves. Raises Refused with 400 or 404."""
        if self.header is None:
            raise refuse(400, error="X-Organization-ID header is required")
        found = self.services.organization(self.header)
        if found is None:
            raise refuse(404, error=f"Organization {self.header} not found")
        return found

    def row(self, table: str, found_id: str) -> Row | None:
        """A row that the request's organization manages."""
        return self.database.get(table, id=found_id, organization_pk=self.managed())

    def scoped(self, table: str, found_id: str) -> Row | None:
        """A row that the request's organization may see; without one, every tenant's."""
        return self.database.get(table, id=found_id, **given(organization_pk=self.filtered()))

    def mirror(self, execution_id: str) -> None:
        """Have an execution's status written into Redis once the transaction is in the database."""
        self.after.append(lambda: self.services.mirror(execution_id))

    def effect(self, operation: str, **detail: Any) -> None:
        """Note an applied effect; call it inside the transaction that applies it."""
        self.database.record(operation, organization=self.current, key=self.key, **detail)
