"""What a platform message is about, and so whose it is while a share of the traffic belongs to today's workers.

Pure: the same message gives the same answer in every process.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from attrs import frozen

from unstract_worker_core.errors import MessageError
from unstract_worker_core.identifiers import execution_id, organization_id

__all__ = ["Subject", "subject_of"]

_ALIAS = "workflow_manager.workflow_v2.file_execution_tasks."
_STARTS = frozenset({"async_execute_bin", "async_execute_bin_api", "async_execute_bin_general"})
_SCHEDULES = frozenset({"scheduler.tasks.execute_pipeline_task", "execute_pipeline_task_v2"})
_BATCHES = frozenset({"process_file_batch", _ALIAS + "process_file_batch"})
_CALLBACKS = frozenset({"process_batch_callback", _ALIAS + "process_batch_callback", "process_batch_callback_api"})


@frozen
class Subject:
    """What a message is about.

    Attributes:
        organization_id: empty where the message does not say.
        execution_id: None for a schedule, which has no execution yet.
        run_id: under what our ledger would keep the message; empty for one that it does not keep.
    """

    organization_id: str
    execution_id: str | None
    run_id: str = ""


def subject_of(task: str, task_id: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Subject | None:
    """What a share decides about; None for every other task, and where the ids cannot be read."""
    try:
        return _subject(task, task_id, args, kwargs)
    except (MessageError, AttributeError):  # not even of the shape: our own steps put it aside, with the reason
        return None


def _subject(task: str, task_id: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Subject | None:
    if task in _STARTS:
        execution = execution_id(_given(args, 2, kwargs, "execution_id"))
        return Subject(organization_id(_given(args, 0, kwargs, "schema_name")), execution, execution)
    if task in _SCHEDULES:
        # The v2 form begins with the organization.
        place = 0 if task.endswith("_v2") else 1
        organization = _given(args, place, kwargs, "org_schema") or kwargs.get("organization_id")
        return Subject(organization_id(organization), None, task_id)
    if task in _BATCHES:
        data = _given(args, 0, kwargs, "file_batch_data").get("file_data")
        execution = execution_id(data.get("execution_id"))
        return Subject(_organization(data), execution, f"{execution}.{task_id}")
    if task in _CALLBACKS:
        execution = execution_id(kwargs.get("execution_id"))
        return Subject(_organization(kwargs), execution, f"{execution}.callback")
    if task == "celery.chord_unlock":
        body = _given(args, 1, kwargs, "callback").get("kwargs")
        return Subject(_organization(body), execution_id(body.get("execution_id")))
    return None


def _given(args: Sequence[Any], place: int, kwargs: Mapping[str, Any], name: str) -> Any:
    return args[place] if len(args) > place else kwargs.get(name)


def _organization(values: Mapping[str, Any]) -> str:
    given = values.get("organization_id")
    return organization_id(given) if given else ""
