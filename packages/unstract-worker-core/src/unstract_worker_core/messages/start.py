"""The start message of an execution: `async_execute_bin` and its aliases (contract: tasks 2)."""

from collections.abc import Mapping, Sequence
from typing import Any

from attrs import Factory, frozen

from unstract_worker_core.errors import MessageError
from unstract_worker_core.identifiers import execution_id, organization_id
from unstract_worker_core.ledger.records import FileItem
from unstract_worker_core.messages.fields import flag, optional_id, optional_object, optional_text
from unstract_worker_core.messages.files import FILES_LIMIT, file_item
from unstract_worker_core.statuses import RunKind

_API_ORDER = (
    "schema_name", "workflow_id", "execution_id", "hash_values_of_files", "scheduled", "execution_mode",
    "pipeline_id", "log_events_id", "use_file_history",
)  # fmt: skip
_GENERAL_ORDER = (*_API_ORDER[:7], "use_file_history")


@frozen
class StartMessage:
    """An execution to start. Ids are text (producers also send UUID objects); `files` is empty for ETL."""

    organization_id: str
    workflow_id: str
    execution_id: str
    kind: RunKind
    files: tuple[FileItem, ...] = ()
    pipeline_id: str | None = None
    log_events_id: str | None = None
    use_file_history: bool = False
    scheduled: bool = False
    llm_profile_id: str | None = None
    hitl_queue_name: str | None = None
    hitl_packet_id: str | None = None
    custom_data: dict[str, Any] | None = None
    refused: str | None = None
    tags: tuple[Any, ...] = Factory(tuple)


def read_start(args: Sequence[object], kwargs: Mapping[str, object], *, kind: RunKind) -> StartMessage:
    """Read the arguments of `async_execute_bin`. Raises MessageError.

    A file that cannot be read is refused by itself (`FileItem.refused`). A message whose ids can be read but which
    cannot be used otherwise comes back with `refused` set to the reason, so that the execution ends in ERROR instead
    of waiting for ever.
    """
    given = _named(args, kwargs, _API_ORDER if kind is RunKind.API else _GENERAL_ORDER)
    organization = organization_id(given.get("schema_name"), field="schema_name")
    workflow = execution_id(given.get("workflow_id"), field="workflow_id")
    execution = execution_id(given.get("execution_id"))
    try:
        return StartMessage(
            organization_id=organization,
            workflow_id=workflow,
            execution_id=execution,
            kind=kind,
            files=_files(given.get("hash_values_of_files")),
            pipeline_id=optional_id(given.get("pipeline_id"), field="pipeline_id"),
            log_events_id=optional_text(given.get("log_events_id"), field="log_events_id"),
            use_file_history=flag(given.get("use_file_history"), field="use_file_history", default=kind is RunKind.ETL),
            scheduled=flag(given.get("scheduled"), field="scheduled", default=False),
            llm_profile_id=optional_text(given.get("llm_profile_id"), field="llm_profile_id"),
            hitl_queue_name=optional_text(given.get("hitl_queue_name"), field="hitl_queue_name"),
            hitl_packet_id=optional_text(given.get("hitl_packet_id"), field="hitl_packet_id"),
            custom_data=optional_object(given.get("custom_data"), field="custom_data"),
        )
    except MessageError as error:
        return StartMessage(organization, workflow, execution, kind, refused=f"start message refused: {error}")


def _named(args: Sequence[object], kwargs: Mapping[str, object], order: Sequence[str]) -> dict[str, object]:
    if len(args) > len(order):
        raise MessageError(f"expected at most {len(order)} arguments, got {len(args)}", field="args")
    given = dict(zip(order, args, strict=False))
    twice = given.keys() & kwargs.keys()
    if twice:
        raise MessageError("given both by position and by name", field=min(twice))
    return given | dict(kwargs)


def _files(value: object) -> tuple[FileItem, ...]:
    if value is None:
        return ()
    if not isinstance(value, Mapping):
        raise MessageError("expected object", field="hash_values_of_files")
    if len(value) > FILES_LIMIT:
        raise MessageError(f"more than {FILES_LIMIT} files", field="hash_values_of_files")
    return tuple(
        file_item(entry, number=number, name=name if isinstance(name, str) else f"file {number}")
        for number, (name, entry) in enumerate(value.items(), start=1)
    )
