"""What must become of every sample file, read from `expected.json`."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attrs import frozen

from unstract_devstack.extraction import Field

HERE = Path(__file__).parent
DOCUMENTS = HERE / "documents"
INBOX = HERE / "inbox"


@frozen
class ExpectedFile:
    """The outcome of one file: its status ("Success" or "Failed"), its fields, or words of its error."""

    status: str
    fields: Mapping[str, Any]
    error: str | None = None
    contains: str | None = None


@frozen
class Expectations:
    """The fields that the demo's workflows extract, and the outcome of each file by its relative name."""

    fields: tuple[Field, ...]
    documents: Mapping[str, ExpectedFile]
    inbox: Mapping[str, ExpectedFile]


def load_expectations() -> Expectations:
    """The expectations that ship with the samples."""
    stored = json.loads((HERE / "expected.json").read_text(encoding="utf-8"))
    return Expectations(
        fields=tuple(Field(**field) for field in stored["fields"]),
        documents=_files(stored["documents"]),
        inbox=_files(stored["inbox"]),
    )


def _files(stored: Mapping[str, Mapping[str, Any]]) -> dict[str, ExpectedFile]:
    return {
        name: ExpectedFile(
            status=outcome["status"],
            fields=outcome.get("fields", {}),
            error=outcome.get("error"),
            contains=outcome.get("contains"),
        )
        for name, outcome in stored.items()
    }
