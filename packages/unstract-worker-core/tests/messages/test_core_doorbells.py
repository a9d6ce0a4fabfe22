"""Doorbells: three fields and a schema; a newer format is left for a worker that knows it."""

from typing import Any

import pytest

from unstract_worker_core import serialization
from unstract_worker_core.doorbells import (
    SCHEMA,
    BatchDoorbell,
    RunDoorbell,
    read_batch_doorbell,
    read_run_doorbell,
)
from unstract_worker_core.errors import MessageError

BATCH = {"run_id": "run-a", "epoch": 1, "batch": 0, "schema": SCHEMA}


def test_doorbells_are_read() -> None:
    assert read_run_doorbell({"run_id": "run-a", "schema": 1, "new": "field"}) == RunDoorbell("run-a")
    assert read_batch_doorbell(BATCH | {"new": "field"}) == BatchDoorbell("run-a", 1, 0)
    assert read_run_doorbell({"run_id": "run-a"}) == RunDoorbell("run-a")


def test_what_is_rung_can_be_read() -> None:
    bell = BatchDoorbell("run-a", 3, 7)

    assert read_batch_doorbell(serialization.unstructure(bell)) == bell


@pytest.mark.parametrize("read", [read_run_doorbell, read_batch_doorbell])
@pytest.mark.parametrize("rest", [BATCH, {}, {"run_id": 5}, {"run_id": {"shard": 1}, "epoch": "new"}])
def test_a_newer_format_is_left_alone_whatever_it_looks_like(read: Any, rest: dict[str, object]) -> None:
    assert read(rest | {"schema": SCHEMA + 1}) is None


@pytest.mark.parametrize(
    "change",
    [
        {"run_id": None}, {"run_id": ""}, {"run_id": "a b"}, {"run_id": "{a}"}, {"run_id": "a\n"}, {"schema": "1"},
        {"epoch": 0}, {"epoch": "1"}, {"epoch": True}, {"batch": -1}, {"batch": None}, {"batch": 1.0},
    ],
)  # fmt: skip
def test_a_broken_doorbell_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(MessageError):
        read_batch_doorbell(BATCH | change)


@pytest.mark.parametrize("message", [{}, {"run_id": "a*"}, {"run_id": "x" * 256}])
def test_a_broken_run_doorbell_is_refused(message: dict[str, object]) -> None:
    with pytest.raises(MessageError):
        read_run_doorbell(message)
