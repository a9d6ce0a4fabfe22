"""What the contract tests share: the reference backend's answers to the recorded calls, and the API's schema."""

import json
import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from attrs import frozen
from jsonschema import Draft202012Validator, FormatChecker  # type: ignore[import-untyped]
from jsonschema.exceptions import best_match  # type: ignore[import-untyped]

from unstract_devstack.backend import BackendConfig, FileWork, running
from unstract_devstack.backend.database import Database
from unstract_devstack.redis_server import running_redis

HERE = Path(__file__).parent
FORMATS = FormatChecker(["uuid"])
FORMATS.checks("date-time", raises=ValueError)(lambda value: datetime.fromisoformat(value) if value else True)


@frozen
class InternalApi:
    """What `internal-api.json` says: operations by "METHOD path template", and the schemas that they share.

    An operation has `parameters` (by place, each required or optional), the schema of its `request`, and of its
    `responses` by status and content type. An object has the fields that are named, and no others.
    """

    operations: Mapping[str, Any]
    definitions: Mapping[str, Any]

    def operation(self, method: str, path: str) -> str | None:
        """The operation that serves a path. A literal segment of a template goes before a parameter."""
        fits = [name for name in self.operations if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", name), f"{method} {path}")]
        return min(fits, key=lambda name: name.count("{"), default=None)

    def problem(self, schema: Mapping[str, Any], value: Any) -> str | None:
        """Where a value is not as its schema says, and how."""
        validator = Draft202012Validator({**schema, "$defs": self.definitions}, format_checker=FORMATS)
        error = best_match(validator.iter_errors(value))
        return None if error is None else f"{error.json_path}: {error.message}"


def closed(schema: dict[str, Any]) -> dict[str, Any]:
    if schema.get("type") == "object" and "properties" in schema:
        schema.setdefault("additionalProperties", False)
    return schema


@pytest.fixture(scope="session")
def internal_api() -> InternalApi:
    document = json.loads((HERE / "internal-api.json").read_text(encoding="utf-8"), object_hook=closed)
    return InternalApi(document["operations"], document["$defs"])


def seed(data: Path) -> None:
    """The objects that the recorded backend had, and its source folder."""
    tables = json.loads((HERE / "reference_seed.json").read_text(encoding="utf-8"))
    files = tables.pop("$source_files")
    for name, content in files.items():
        path = data / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    database = Database(data / "backend.sqlite3")
    for table, rows in tables.items():
        for row in rows:
            database.insert(table, **row)
    with database.write() as connection:
        folder = str(data / "src-bucket" / "in")
        connection.execute("UPDATE workflows SET source_root = ?, source_folder = ?", (str(data), folder))
    database.close()


@pytest.fixture(scope="session")
def answers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, httpx.Response]]:
    """The reference backend's answer to every recorded call, by the call's name."""
    directory = tmp_path_factory.mktemp("contract")
    data = directory / "data"
    data.mkdir()
    seed(data)
    lines = (HERE / "recordings.jsonl").read_text(encoding="utf-8").splitlines()
    with running_redis(directory / "redis") as broker:
        config = BackendConfig(
            data=data,
            api_key="dummy-internal-key-123",
            broker_url=broker.url,
            redis_url=broker.url,
            execute_file=FileWork.RECORDED,
            club_seconds=300,
            buffer_loop=False,
        )
        with running(config) as backend, httpx.Client(trust_env=False) as client:
            origin = backend.base_url.removesuffix("/internal")
            yield {call["name"]: replayed(client, origin, call) for call in map(json.loads, lines)}


def replayed(client: httpx.Client, origin: str, call: dict[str, Any]) -> httpx.Response:
    """Send a recorded call. A body that is a string was sent as it is."""
    body = call["request_body"]
    content = None if body is None else (body if isinstance(body, str) else json.dumps(body)).encode()
    headers = dict(call["request_headers"])
    if content is not None:
        headers["Content-Type"] = "application/json"
    return client.request(call["method"], origin + call["path"], content=content, headers=headers)
