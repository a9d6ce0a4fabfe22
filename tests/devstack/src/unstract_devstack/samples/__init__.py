"""The documents that the demo and the tests run on, and what must become of each.

`documents/` goes through an API deployment, `inbox/` through an ETL pipeline; `expected.json` says what each file must
end in.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attrs import Factory, frozen

from unstract_devstack.extraction import Field
from unstract_devstack.platform_client import Platform

HERE = Path(__file__).parent
DOCUMENTS = HERE / "documents"
INBOX = HERE / "inbox"
API_NAME = "documents"
TABLE = "inbox_results"


@frozen
class ExpectedFile:
    """The outcome of one file: its status ("Success" or "Failed"), its fields, or words of its error."""

    status: str
    fields: Mapping[str, Any] = Factory(dict)
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
    documents, inbox = (
        {name: ExpectedFile(**outcome) for name, outcome in stored[folder].items()} for folder in ("documents", "inbox")
    )
    return Expectations(tuple(Field(**field) for field in stored["fields"]), documents, inbox)


def set_up_samples(platform: Platform, sink_url: str) -> str:
    """An API deployment, a pipeline over the inbox and a webhook for each end; returns the pipeline's id."""
    fields = load_expectations().fields
    documents = platform.create_workflow("documents", "api", fields)
    api_id = platform.create_api_deployment(documents, API_NAME)
    inbox = platform.create_workflow("inbox", "etl", fields, source_folder=str(INBOX), destination_table=TABLE)
    pipeline_id = platform.create_pipeline(inbox, "inbox")
    platform.notify(f"{sink_url}/hooks/api", api_id=api_id)
    platform.notify(f"{sink_url}/hooks/pipeline", pipeline_id=pipeline_id)
    return pipeline_id
