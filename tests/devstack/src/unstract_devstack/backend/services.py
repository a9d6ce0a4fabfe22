"""What every handler works with, and the call that it answers."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from attrs import define, field, frozen
from starlette.requests import Request
from starlette.responses import Response

from unstract_devstack.backend.config import BackendConfig
from unstract_devstack.backend.database import Database
from unstract_devstack.backend.faults import Faults
from unstract_devstack.backend.keys import KeyedAnswers
from unstract_devstack.backend.log_drain import LogEvents
from unstract_devstack.backend.organizations import Organizations, Scope
from unstract_devstack.backend.request_log import RequestLog
from unstract_devstack.backend.status_cache import StatusCache
from unstract_devstack.backend.wire import MalformedJson, refuse
from unstract_devstack.producer import Producer


@frozen
class Services:
    """The parts of one backend."""

    config: BackendConfig
    database: Database
    organizations: Organizations
    cache: StatusCache
    requests: RequestLog
    answers: KeyedAnswers
    faults: Faults
    broker: Producer | None
    logs: LogEvents = field(factory=LogEvents)

    @classmethod
    def open(cls, config: BackendConfig) -> "Services":
        """Open the database under the data directory and connect what is configured."""
        config.data.mkdir(parents=True, exist_ok=True)
        database = Database(config.data / "backend.sqlite3")
        return cls(
            config=config,
            database=database,
            organizations=Organizations(database),
            cache=StatusCache(config.redis_url),
            requests=RequestLog(database),
            answers=KeyedAnswers(database),
            faults=Faults(),
            broker=_producer(config),
        )

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

    def close(self) -> None:
        """Write what is pending and close everything; no handler may be running."""
        self.requests.flush()
        self.cache.close()
        if self.broker is not None:
            self.broker.close()
        self.database.close()


@define
class Call:
    """One request on its way through a handler.

    ``after`` holds what is done once the handler's transaction is in the database, such as writing to Redis.
    ``keep``: a slow handler hands it its answer inside the transaction that applies its effect, so that a repeat of
    its idempotency key finds both or neither.
    """

    services: Services
    request: Request
    body: bytes = field(repr=False)
    scope: Scope
    after: list[Callable[[], None]] = field(factory=list)
    keep: Callable[[Response], None] = lambda answer: None

    @property
    def database(self) -> Database:
        """The backend's database."""
        return self.services.database

    @property
    def method(self) -> str:
        """The request's method."""
        return self.request.method

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

    def fields(self) -> dict[str, Any]:
        """The body as a JSON object. A list or a scalar fails as it does in the real views."""
        body = self.json()
        if not isinstance(body, dict):
            raise AttributeError(f"'{type(body).__name__}' object has no attribute 'get'")  # noqa: TRY004 as there
        return body

    def effect(self, operation: str, **detail: Any) -> None:
        """Note an applied effect; call it inside the transaction that applies it."""
        self.database.record(operation, organization=self.scope.current, key=self.key, **detail)


Handler = Callable[[Call], Response]


def _producer(config: BackendConfig) -> Producer | None:
    if not config.broker_url:
        return None
    return Producer(config.broker_url, quorum_queues=config.quorum_queues, confirmed=config.confirm_publish)
