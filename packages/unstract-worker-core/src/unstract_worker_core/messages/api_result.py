"""The item that the backend returns to an API caller, one per uploaded file (contract: flows 0.1)."""

from collections.abc import Iterator
from typing import Any

from attrs import asdict, frozen

from unstract_worker_core.ledger.records import FileOutcome, OutcomeKind

__all__ = ["ApiResultItem", "result_items"]


@frozen
class ApiResultItem:
    """Exactly the six keys that the backend reads; any error makes it Failed."""

    file: str
    file_execution_id: str | None
    status: str
    result: Any
    error: str | None
    metadata: dict[str, Any]

    def as_message(self) -> dict[str, Any]:
        """All keys, nulls included, as plain JSON types."""
        return asdict(self, recurse=False)


def result_items(outcome: FileOutcome) -> Iterator[ApiResultItem]:
    """One item for each uploaded name that shares this outcome."""
    completed = outcome.kind is OutcomeKind.COMPLETED
    for name in (outcome.name, *outcome.copies):
        yield ApiResultItem(
            file=name,
            file_execution_id=outcome.file_execution_id,
            status="Success" if completed else "Failed",
            result=outcome.result if completed else None,
            error=None if completed else (outcome.error or "the file failed without a reason"),
            metadata=outcome.metadata | {"source_name": name},
        )
