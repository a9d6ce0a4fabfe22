"""The reference backend answers the recorded calls as the platform did: same status, same shape of the body.

The recordings change state as they go, so they are replayed in their order over the same seed objects. Ids, times and
free text are not compared; names of fields, types of values, and the values that tell a decision are.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

RECORDINGS = [
    json.loads(line) for line in (Path(__file__).parent / "recordings.jsonl").read_text(encoding="utf-8").splitlines()
]
UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")

# What differs on purpose, with its reason. Keep this short.
EXCEPTIONS: dict[str, str] = {}

# Fields that say what was decided: not only their type counts.
DECISIONS = frozenset(
    {
        "status",
        "new_status",
        "reason",
        "execution_count",
        "max_execution_count",
        "attempts",
        "code",
        "connection_type",
        "pipeline_type",
        "workflow_type",
        "last_run_status",
        "type",
        "total_active",
        "total_checked",
        "total_processed",
        "file_number",
        "updated",
        "value",
        "organization_id",
        "platform",
        "authorization_type",
    }
)


def shape(value: Any, name: str = "") -> Any:
    """Names of fields and types of values; an integer is a number like any other. Decisions keep their value."""
    if isinstance(value, dict):
        return {key: shape(item, key) for key, item in value.items()}
    if isinstance(value, list):
        return [shape(item) for item in value]
    if isinstance(value, bool) or value is None or name in DECISIONS:
        return repr(value)
    return "number" if isinstance(value, int | float) else type(value).__name__


def differences(expected: Any, found: Any, where: str = "$") -> list[str]:
    """How two shapes differ. In a list each entry must have the shape of a recorded one."""
    if isinstance(expected, dict) and isinstance(found, dict):
        missing = [f"{where}.{name} is missing" for name in expected if name not in found]
        surplus = [f"{where}.{name} was not recorded" for name in found if name not in expected]
        common = [
            line
            for name in expected
            if name in found
            for line in differences(expected[name], found[name], f"{where}.{name}")
        ]
        return missing + surplus + common
    if isinstance(expected, list) and isinstance(found, list):
        if bool(expected) != bool(found):
            return [f"{where}: recorded {len(expected)} entries, found {len(found)}"]
        return [f"{where}[{at}]: {entry} was not recorded" for at, entry in enumerate(found) if entry not in expected]
    return [] if expected == found else [f"{where}: recorded {expected}, found {found}"]


@pytest.mark.parametrize("call", RECORDINGS, ids=[call["name"] for call in RECORDINGS])
def test_answers_as_recorded(answers: dict[str, httpx.Response], call: dict[str, Any]) -> None:
    if call["name"] in EXCEPTIONS:
        pytest.skip(EXCEPTIONS[call["name"]])
    answer = answers[call["name"]]
    assert answer.status_code == call["status"], answer.text
    recorded_type = call["response_headers"].get("content-type", "")
    assert answer.headers.get("content-type", "").partition(";")[0] == recorded_type.partition(";")[0]
    assert answer.headers.get("location") == call["response_headers"].get("location")
    if recorded_type.startswith("application/json"):
        assert differences(shape(call["response_body"]), shape(answer.json())) == []


def pairs_of_ids(recorded: Any, found: Any) -> Iterator[tuple[str, str]]:
    """UUIDs that stand at the same place of two bodies; lists are left out, since their order is not the contract's."""
    if isinstance(recorded, dict) and isinstance(found, dict):
        for name in recorded.keys() & found.keys():
            yield from pairs_of_ids(recorded[name], found[name])
    elif isinstance(recorded, str) and isinstance(found, str) and UUID.fullmatch(recorded) and UUID.fullmatch(found):
        yield recorded, found


def test_what_was_one_object_is_one_object(answers: dict[str, httpx.Response]) -> None:
    ours: dict[str, set[str]] = {}
    theirs: dict[str, set[str]] = {}
    for call in RECORDINGS:
        answer = answers[call["name"]]
        if call["name"] in EXCEPTIONS or not answer.headers.get("content-type", "").startswith("application/json"):
            continue
        for recorded, found in pairs_of_ids(call["response_body"], answer.json()):
            ours.setdefault(recorded, set()).add(found)
            theirs.setdefault(found, set()).add(recorded)
    assert len(ours) > 30
    assert {recorded: found for recorded, found in ours.items() if len(found) > 1} == {}
    assert {found: recorded for found, recorded in theirs.items() if len(recorded) > 1} == {}


def test_every_exception_is_a_recorded_call() -> None:
    assert set(EXCEPTIONS) <= {call["name"] for call in RECORDINGS}


def test_names_of_recordings_are_unique() -> None:
    names = [call["name"] for call in RECORDINGS]
    assert len(names) == len(set(names))
