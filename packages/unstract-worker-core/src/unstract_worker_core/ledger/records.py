"""What the ledger stores, as JSON: the run's context, its files and their outcomes.

The four workers release separately, so these records are a wire format: read tolerantly, changed only by addition.
"""

from enum import StrEnum
from hashlib import sha256
from sys import intern
from typing import Any

from attrs import Factory, field, frozen

from unstract_worker_core.statuses import ExecutionStatus, RunKind

# Prefix of the hash of an upload whose type the platform refused; such an upload has `is_executed` too.
UNSUPPORTED_HASH = "temp-hash-"


class RunState(StrEnum):
    """ACCEPTED -> ARMED -> READY -> DONE; only Lua scripts move a run, and only forward."""

    ACCEPTED = "ACCEPTED"
    ARMED = "ARMED"
    READY = "READY"
    DONE = "DONE"


class RunTask(StrEnum):
    """What an entry of the ledger is about."""

    EXECUTION = "execution"
    SCHEDULE = "schedule"
    WEBHOOK = "webhook"
    CHORD_BATCH = "chord_batch"
    CHORD_CALLBACK = "chord_callback"


class OutcomeKind(StrEnum):
    """How one file ended. SKIPPED: it was never started (stop, or used by another execution)."""

    COMPLETED = "COMPLETED"
    ERROR = "ERROR"
    SKIPPED = "SKIPPED"


@frozen
class FileItem:
    """One file of an execution.

    `number` counts from 1 over the whole execution. `copies` are names of further uploads with the same content:
    they share the row and the outcome, and each gets its own API result item. `refused`: why the file cannot be
    worked on; it ends in ERROR with this reason. Texts that many items have in common are kept once.
    """

    number: int
    name: str
    path: str
    hash: str = ""
    size: int = 0
    mime_type: str = field(default="", converter=intern)
    provider_file_uuid: str | None = None
    source_connection_type: str = field(default="", converter=intern)
    is_executed: bool = False
    file_execution_id: str | None = None
    fs_metadata: dict[str, Any] = Factory(dict)
    copies: tuple[str, ...] = ()
    refused: str | None = None

    @property
    def unsupported(self) -> bool:
        """The producer refused its type: nothing was stored for it (contract: tasks 2.1)."""
        return self.is_executed and self.hash.startswith(UNSUPPORTED_HASH)

    @property
    def identity(self) -> str:
        """Names the file in idempotency keys: the same in whatever order and company it is listed again.

        A run whose ledger was lost lists only what is left, so that a number would then mean another file.
        """
        identity = "\0".join((self.hash, self.path, self.provider_file_uuid or ""))
        return sha256(identity.encode(errors="backslashreplace")).hexdigest()[:16]

    @property
    def uploads(self) -> int:
        """How many uploaded files this item represents."""
        return 1 + len(self.copies)


@frozen
class RunContext:
    """What every batch of a run shares; stored once per run.

    `completed_before` and `failed_before` of the `total_files` ended in a run that the ledger lost.
    `executing_seconds`: how long before arming the backend last said that the execution is EXECUTING.
    """

    execution_id: str
    organization_id: str
    workflow_id: str
    kind: RunKind
    schema: int = 1
    pipeline_id: str | None = None
    use_file_history: bool = False
    log_channel: str | None = None
    total_files: int = 0
    completed_before: int = 0
    failed_before: int = 0
    error: str | None = None
    stopped: bool = False
    chord: bool = False
    llm_profile_id: str | None = None
    hitl_queue_name: str | None = None
    hitl_packet_id: str | None = None
    custom_data: dict[str, Any] | None = None
    tags: tuple[Any, ...] = ()
    executing_seconds: float | None = None


@frozen
class FileOutcome:
    """How one file ended: the first one recorded is the one that counts.

    `result` and `metadata` are what the API caller gets (any JSON); `seconds` is wall time of the work.
    """

    number: int
    name: str
    kind: OutcomeKind
    error: str | None = None
    file_execution_id: str | None = None
    result: Any = None
    metadata: dict[str, Any] = Factory(dict)
    seconds: float = 0.0
    copies: tuple[str, ...] = ()

    @property
    def uploads(self) -> int:
        """How many uploaded files this outcome counts for."""
        return 1 + len(self.copies)


@frozen
class FinalState:
    """What a finished run said last; kept in the tombstone for the second read-back and for redeliveries."""

    status: ExecutionStatus | None = None
    total_files: int = 0
    successful_files: int = 0
    failed_files: int = 0
    error: str | None = None
    detail: dict[str, Any] = Factory(dict)


@frozen
class AnswerTicket:
    """Names the file that an executor's answer belongs to; the executor gives it back with the answer.

    `file_execution_id`: the file's row. A run whose ledger was lost may give the number to another file.
    """

    run_id: str
    epoch: int
    batch: int
    number: int
    schema: int = 1
    file_execution_id: str | None = None


@frozen
class ExecutorAnswer:
    """What an executor answered (any JSON), or why there is no answer of its own."""

    value: Any = None
    error: str | None = None
