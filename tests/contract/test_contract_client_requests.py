"""Every request that the client can make is one that the internal API describes, with fields that it describes.

Each call is made twice: with all that it and its models take, and with as little as they need. What a call takes is read
from its signature, so that a new call, argument or field is met here too.
"""

import inspect
import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints
from urllib.parse import parse_qsl, urlsplit

import attrs
import pytest
import stamina

from unstract_devstack.sink import Answer, Delivery, running_sink
from unstract_worker_core.backend import Backend, operations
from unstract_worker_core.backend.call import Resource
from unstract_worker_core.backend.executions import NewExecution
from unstract_worker_core.backend.operations import Operation
from unstract_worker_core.config import BackendSettings, Secret
from unstract_worker_core.errors import BackendError
from unstract_worker_core.statuses import ExecutionStatus, PipelineStatus

OPERATIONS = [each for each in vars(operations).values() if isinstance(each, Operation)]
PREFIX = "/internal/"

# Requests that are not as described.
EXCEPTIONS: dict[str, str] = {}

# What a value is, by its name if not any of its type will do.
NAMED = {"organization_id": "org_alpha", "type": "ETL", "platform": "SLACK"}
TYPED: dict[Any, Any] = {
    str: "00000000-0000-0000-0000-000000000001",
    int: 3,
    float: 2.0,
    bool: True,
    ExecutionStatus: ExecutionStatus.COMPLETED,
    PipelineStatus: PipelineStatus.SUCCESS,
    Any: {"size": 1},
}
# A model that needs more than its mandatory fields.
ALSO_NEEDED: dict[Any, set[str]] = {NewExecution: {"pipeline_id"}}


def example(kind: Any, name: str, *, full: bool) -> Any:
    """A value of a type; of a model with all its fields, or with what it needs."""
    if name in NAMED:
        return NAMED[name]
    if attrs.has(kind):
        needed = {each.name for each in attrs.fields(kind) if each.default is attrs.NOTHING}
        wanted = needed | ALSO_NEEDED.get(kind, set())
        hints = {each: hint for each, hint in get_type_hints(kind).items() if full or each in wanted}
        return kind(**{each: example(hint, each, full=full) for each, hint in hints.items()})
    if get_origin(kind) in (UnionType, Union):
        kind = next(each for each in get_args(kind) if each is not type(None))
        return example(kind, name, full=full)
    if get_origin(kind) is tuple:
        return tuple(example(each, name, full=full) for each in get_args(kind))
    if get_origin(kind) in (Iterable, Sequence):
        return [example(get_args(kind)[0], name, full=full)]
    return TYPED[kind]


def calls(backend: Backend) -> Iterator[Callable[..., object]]:
    """Every call of the client: the public methods of its groups, and its own check."""
    yield backend.check
    for group in vars(backend).values():
        if isinstance(group, Resource):
            yield from (method for name, method in inspect.getmembers(group, inspect.ismethod) if name[0] != "_")


def arguments(call: Callable[..., object], *, full: bool) -> dict[str, Any]:
    hints = get_type_hints(call)
    return {
        name: example(hints[name], name, full=full)
        for name, parameter in inspect.signature(call).parameters.items()
        if full or parameter.default is parameter.empty
    }


@pytest.fixture(scope="module")
def requests() -> list[Delivery]:
    """Every request that the client makes, as it arrived at a server that refuses all."""
    with running_sink() as server, stamina.set_testing(True, attempts=1):
        server.answer = Answer(status=400, headers=(("Content-Type", "application/json"),), body=b'{"error": "no"}')
        backend = Backend(BackendSettings(base_url=f"{server.url}{PREFIX}", api_key=Secret("dummy-key")))
        for call in calls(backend):
            for full in (True, False):
                with suppress(BackendError):
                    call(**arguments(call, full=full))
        backend.close()
        return server.received()


def difference(api: Any, request: Delivery) -> str | None:
    """What of a request is not described."""
    parts = urlsplit(request.path)
    name = api.operation(request.method, parts.path)
    if name is None:
        return "no such operation"
    operation = api.operations[name]
    query = operation["parameters"].get("query", {})
    given = dict(parse_qsl(parts.query))
    needed = {name for name, need in query.items() if need == "required"}
    if not needed <= given.keys() <= query.keys():
        return f"query {sorted(given)}, described as {query}"
    organization = operation["parameters"].get("header", {}).get("X-Organization-ID")
    if ("x-organization-id" in request.headers, organization) in {(True, None), (False, "required")}:
        return f"the header X-Organization-ID is {organization}"
    if ("request" in operation) != bool(request.body):
        return "a body where none is described" if request.body else "no body"
    problem: str | None = api.problem(operation["request"], json.loads(request.body)) if request.body else None
    return problem


def test_requests_are_as_described(internal_api: Any, requests: list[Delivery]) -> None:
    found = {f"{each.method} {each.path}": what for each in requests if (what := difference(internal_api, each))}
    assert found == EXCEPTIONS


def test_every_operation_is_described(internal_api: Any) -> None:
    prefixes = {each.name: str(each.default) for each in attrs.fields(BackendSettings)}
    paths = [
        (each.method, PREFIX + re.sub(r"\{(\w+)\}", lambda found: prefixes.get(found[1], "1"), each.path))
        for each in OPERATIONS
    ]
    assert [each for each in paths if internal_api.operation(*each) is None] == []


def test_every_operation_is_asked(internal_api: Any, requests: list[Delivery]) -> None:
    asked = {internal_api.operation(each.method, urlsplit(each.path).path) for each in requests}
    assert len(asked - {None}) == len(OPERATIONS)
