"""What the double keeps: executions and the rows of their files. Only as much as the workers read back."""

from itertools import count
from typing import Any
from uuid import UUID

from attrs import define, field

__all__ = ["Execution", "State"]

TERMINAL = ("COMPLETED", "ERROR", "STOPPED")
_numbers = count(1)


@define
class Execution:
    """One execution. `files` is how many the source lists; `rows` are keyed by what makes a file the same."""

    id: str
    workflow_id: str
    kind: str
    files: int
    status: str = "PENDING"
    rows: dict[str, dict[str, Any]] = field(factory=dict)
    counts: dict[str, Any] = field(factory=dict)

    @property
    def over(self) -> bool:
        """Whether a terminal status was written."""
        return self.status in TERMINAL

    def row(self, file: dict[str, Any]) -> dict[str, Any]:
        """The row of a file, made if there is none: by content for API files, by place for others."""
        api = file.get("source_connection_type") == "API"
        key = str(file.get("file_hash")) if api else f"{file.get('file_path')}:{file.get('provider_file_uuid')}"
        if key not in self.rows:
            self.rows[key] = {
                "id": new_id(),
                "workflow_execution_id": self.id,
                **{name: file.get(name) for name in ("file_name", "file_size", "file_hash", "mime_type")},
                "provider_file_uuid": file.get("provider_file_uuid"),
                "file_path": None if api else file.get("file_path"),
                "fs_metadata": file.get("fs_metadata"),
                "status": "",
                "execution_error": None,
                "created_at": "2026-01-01T00:00:00Z",
            }
        return self.rows[key]


@define
class State:
    """All executions and, by id, all rows. `most_batches`: MAX_PARALLEL_FILE_BATCHES, for the execution opened last."""

    executions: dict[str, Execution] = field(factory=dict)
    rows: dict[str, dict[str, Any]] = field(factory=dict)
    most_batches: int = 1

    def made(self, execution: Execution, file: dict[str, Any]) -> dict[str, Any]:
        """A file's row, found by its id from now on."""
        row = execution.row(file)
        self.rows[row["id"]] = row
        return row


def new_id() -> str:
    """A UUID that no other call returns."""
    return str(UUID(int=0x4000_8000_0000_0000_0000 + next(_numbers)))
