"""Doorbells: Celery messages that only say where to look. The ledger holds the truth.

A doorbell names a run, or a batch with its epoch. A lost one costs time, a repeated one costs nothing.
"""

from collections.abc import Sequence
from typing import Protocol

from attrs import frozen

from unstract_worker_core import serialization
from unstract_worker_core.errors import MessageError
from unstract_worker_core.identifiers import opaque_id
from unstract_worker_core.ledger.records import RunTask
from unstract_worker_core.statuses import RunKind

SCHEMA = 1


@frozen
class RunDoorbell:
    """Look at this run: orchestrate it, finalise it or deliver it, as its state says."""

    run_id: str
    schema: int = SCHEMA


@frozen
class BatchDoorbell:
    """Look at this batch of this epoch."""

    run_id: str
    epoch: int
    batch: int
    schema: int = SCHEMA


class Doorbells(Protocol):
    """What publishes doorbells: `worker.doorbell_publisher`, and `testing.RecordingDoorbells` in tests."""

    def ring_start(self, run_id: str, *, task: RunTask, kind: RunKind) -> None:
        """Ask for an accepted run to be orchestrated (or a webhook to be delivered)."""

    def ring_batches(self, run_id: str, *, epoch: int, batches: Sequence[int], kind: RunKind) -> None:
        """Ask for batches to be processed."""

    def ring_callback(self, run_id: str) -> None:
        """Ask for a READY run to be finalised."""

    def waiting(self, kind: RunKind) -> int:
        """How many batch doorbells of the kind wait in the broker."""

    def starts_waiting(self) -> int | None:
        """How many start messages wait in the platform's default queues; None while the broker cannot be asked."""

    def answers_waiting(self) -> int | None:
        """How many answers of executors wait to be recorded; None while the broker cannot be asked."""


def read_run_doorbell(message: dict[str, object]) -> RunDoorbell | None:
    """The doorbell in a task's keyword arguments; None: it has a newer format. Raises MessageError."""
    if _newer(message):
        return None
    bell = serialization.structure(message, RunDoorbell)
    opaque_id(bell.run_id, field="run_id")
    return bell


def read_batch_doorbell(message: dict[str, object]) -> BatchDoorbell | None:
    """As `read_run_doorbell`, for a batch."""
    if _newer(message):
        return None
    bell = serialization.structure(message, BatchDoorbell)
    opaque_id(bell.run_id, field="run_id")
    if bell.epoch < 1 or bell.batch < 0:
        raise MessageError("not a batch of an armed run", field="BatchDoorbell.batch")
    return bell


def _newer(message: dict[str, object]) -> bool:
    # Checked first: a newer format may have other fields.
    schema = message.get("schema")
    return isinstance(schema, int) and schema > SCHEMA
