"""What the reference backend serves is what the internal API's description says: operations, fields, statuses.

`internal-api.json` is a compact derivation of the platform's OpenAPI description, for the operations that the
reference backend serves or the client makes: names of parameters, and JSON Schema for requests and for the answers by
status. It holds no prose. The description lists fields that an object has; here an object has no others either.
Where the description and the observed behaviour disagree, the observation counts: each such answer is an exception.
"""

import re
from typing import Any

import httpx
import pytest

from unstract_devstack.backend.operations import INTERNAL

# Answers to recorded calls that are not as described, with what was observed.
EXCEPTIONS = {
    "wfexec.list.badwf": "described as a page, which it is with DEBUG alone; without it the error is JSON",
    "pipeline.get.after_invalid": "the platform stores any string as a pipeline's last status and gives it back",
    "fe.status.malformed": "a body that is no JSON is refused in the framework's shape, not as errors of fields",
    "fe.batch_create.get_shadow": "a path that takes POST alone is no file of that name: its GET is not allowed",
    "apidep.ok": "an API deployment has the field shared_groups too",
    "apidep.ok.pk": "the same",
}
# What the framework answers before there is an operation: slash missing, no key, CSRF, no such path, no such method.
FRAMEWORK = {301, 401, 403, 404, 405}
# Shadowed by another path, or broken, in the platform itself.
NEVER_WELL = {
    "GET /internal/v1/workflow-manager/execution/{execution_id}/",
    "GET /internal/v1/workflow-manager/execution/metrics/",
    "POST /internal/v1/workflow-manager/execution/cleanup/",
}


def problem(api: Any, operation: str, answer: httpx.Response) -> str | None:
    """How an answer differs from its description; of a page only the type is described."""
    contents = api.operations[operation]["responses"].get(str(answer.status_code))
    if contents is None:
        return f"status {answer.status_code} is not described"
    kind = answer.headers.get("content-type", "").partition(";")[0]
    if kind not in contents:
        return f"{answer.status_code} is described as {', '.join(contents)}, not {kind}"
    found: str | None = api.problem(contents[kind], answer.json() if kind == "application/json" else answer.text)
    return found


def by_operation(api: Any, answers: dict[str, httpx.Response]) -> dict[str, str | None]:
    """Which operation each recorded call is of, by the call's name."""
    return {name: api.operation(each.request.method, each.request.url.path) for name, each in answers.items()}


def test_answers_are_as_described(internal_api: Any, answers: dict[str, httpx.Response]) -> None:
    operations = by_operation(internal_api, answers)
    found = {
        name: f"{operation}: {what}"
        for name, operation in operations.items()
        if operation is not None and (what := problem(internal_api, operation, answers[name]))
    }
    assert {name: what for name, what in found.items() if name not in EXCEPTIONS} == {}
    assert set(EXCEPTIONS) - set(found) == set()  # what is as described is no exception


def test_what_is_no_operation_is_answered_by_the_framework(
    internal_api: Any, answers: dict[str, httpx.Response]
) -> None:
    operations = by_operation(internal_api, answers)
    others = {name: answers[name].status_code for name, operation in operations.items() if operation is None}
    assert {name: status for name, status in others.items() if status not in FRAMEWORK} == {}


def test_each_operation_is_met_and_answers_well(internal_api: Any, answers: dict[str, httpx.Response]) -> None:
    operations = by_operation(internal_api, answers)
    assert set(operations.values()) - {None} == set(internal_api.operations)
    well = {operation for name, operation in operations.items() if answers[name].is_success}
    assert set(internal_api.operations) - well == NEVER_WELL


def test_the_reference_backend_serves_the_described_operations(internal_api: Any) -> None:
    described = {re.sub(r"\{\w+\}", "{}", name) for name in internal_api.operations}
    implemented = {f"{route.method} {re.sub(r'{[a-z_:]+}', '{}', route.path)}" for route in INTERNAL}
    cleanup = "/internal/v1/workflow-manager/execution/cleanup/"
    # Another path takes this one in the platform: its GET is that one's, and its POST is a 405.
    assert implemented - described == {f"GET {cleanup}"}
    assert described - implemented == {f"POST {cleanup}"}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"status": "updated", "execution_id": "e", "new_status": "COMPLETED"}, False),
        ({"status": "updated", "execution_id": "e", "new_status": "SUCCESS"}, True),
        ({"status": "updated", "execution_id": "e"}, True),
        ({"status": "updated", "execution_id": "e", "new_status": "COMPLETED", "surplus": 1}, True),
        ([], True),
    ],
)
def test_a_difference_is_found(internal_api: Any, change: Any, expected: bool) -> None:
    operation = "POST /internal/v1/workflow-execution/{id}/update_status/"
    answer = httpx.Response(200, json=change)
    assert (problem(internal_api, operation, answer) is not None) is expected
