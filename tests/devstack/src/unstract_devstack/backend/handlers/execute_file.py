"""workflow-manager: execute-file, the work on one file. It records its effect each time that it is called."""

import json
import random
import time
from pathlib import Path
from typing import Any

from attrs import frozen
from starlette.responses import JSONResponse

from unstract_devstack.backend import destinations
from unstract_devstack.backend.config import FileWork
from unstract_devstack.backend.database import Row
from unstract_devstack.backend.destinations import Source
from unstract_devstack.backend.handlers.workflows import MANAGER
from unstract_devstack.backend.services import NOWHERE, Call
from unstract_devstack.backend.wire import failed, operation, refuse, valid_uuid
from unstract_devstack.extraction import Extraction, ExtractionError, Field, extract

RECORDED_ERROR = "'WorkflowExecutionServiceHelper' object has no attribute 'execute_single_file'"
NO_PLATFORM_KEY = (
    "An active platform key is required to run this workflow: create one in the organization's platform settings."
)
GONE = "Workflow or execution not found: {} matching query does not exist."


@frozen
class Job:
    """One file to work on: its name as its sender knows it, its path in the staging or in the source, and its row."""

    workflow: Row
    execution: Row
    organization_id: str
    data: dict[str, Any]

    @property
    def source(self) -> Source:
        """The file."""
        path, row = str(self.data.get("file_path") or ""), self.data.get("file_execution_id")
        name = self.data.get("file_name") or self.data.get("name") or Path(path).name
        return Source(str(name), path, str(row) if row else None)


@operation("POST", f"{MANAGER}/execute-file/", failed("Failed to execute file"), slow=True)
def execute_file(call: Call) -> Any:
    """200 whether the file succeeded or not: the body says which."""
    config = call.services.config
    time.sleep(random.uniform(*config.file_delay))
    job = _job(call)
    if config.execute_file is FileWork.RECORDED:
        return _answer(job, None, RECORDED_ERROR)
    organization = call.services.organization(job.organization_id)
    if organization is None or organization["platform_key"] is None:
        return _answer(job, None, NO_PLATFORM_KEY)
    started, extraction, result, written, problem = time.perf_counter(), None, None, None, None
    try:
        fields = tuple(Field(**each) for each in job.workflow["fields"])
        mime_type = job.data.get("mime_type") or None
        extraction = extract(located(call, job), mime_type=mime_type, fields=fields, name=job.source.name)
        result = _result(job, extraction, round(time.perf_counter() - started, 6))
    except ExtractionError as error:
        problem = str(error)
    with call.database.write():
        if result is not None:
            try:
                written = destinations.write(call.services, job.workflow, job.source, result)
            except OSError as error:  # one that can not be written makes the file fail
                extraction, result, problem = None, None, f"Destination error: {error.strerror or error}"
        answer = _answer(job, result, problem)
        _record(call, job, extraction, answer, written)
        call.keep(JSONResponse(answer))
    return answer


def _answer(job: Job, result: dict[str, Any] | None, problem: str | None) -> dict[str, Any]:
    outcome = {"status": "success", "result": result} if problem is None else {"status": "error", "error": problem}
    return {"execution_id": job.execution["id"], **outcome, "file_name": job.data.get("name")}


def _job(call: Call) -> Job:
    names = ("workflow_id", "execution_id", "file_data", "organization_id")
    body = call.fields(*names, error="workflow_id, execution_id, file_data, and organization_id are required")
    organization = call.services.organization(str(body["organization_id"]))
    pk = organization["pk"] if organization and call.managed() == organization["pk"] else NOWHERE
    workflow = call.database.get("workflows", id=valid_uuid(body["workflow_id"]), organization_pk=pk)
    if workflow is None:
        raise refuse(404, error=GONE.format("Workflow"))
    execution = call.database.get("executions", id=valid_uuid(body["execution_id"]), organization_pk=pk)
    if execution is None:
        raise refuse(404, error=GONE.format("WorkflowExecution"))
    return Job(workflow, execution, str(body["organization_id"]), body["file_data"])


def located(call: Call, job: Job) -> Path:
    """Where the file is. Raises ExtractionError for one that is not inside the staging or the source folder."""
    if job.workflow["type"] == "API":
        base = call.services.root
        inside = base / "unstract" / "api" / job.organization_id / job.workflow["id"] / job.execution["id"]
    else:
        base, inside = (Path(job.workflow[name] or "/nowhere") for name in ("source_root", "source_folder"))
    wanted = job.source.path
    if not wanted or "\x00" in wanted:
        raise ExtractionError("the request names no file path")
    path = (base / wanted).resolve()
    if not path.is_relative_to(inside.resolve()) or (base / wanted).is_symlink():
        raise ExtractionError(f"{wanted} is not inside the folder that this execution's files are in")
    if not path.is_file():
        raise ExtractionError(f"{wanted} is not there")
    return path


def _result(job: Job, extraction: Extraction, seconds: float) -> dict[str, Any]:
    metadata = {
        "source_name": job.source.name,
        "source_hash": job.data.get("file_hash") or None,
        "workflow_id": job.workflow["id"],
        "execution_id": job.execution["id"],
        "organization_id": job.organization_id,
        "total_elapsed_time": seconds,
        "tool_metadata": [{"tool_name": "extraction", "elapsed_time": seconds}],
    }
    metrics = {"extraction": {"seconds": seconds}}
    return {"output": extraction.as_output(), "metadata": metadata, "metrics": metrics}


def _words(content: Any) -> int:
    text = content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)
    return len(text.split())


def _record(
    call: Call, job: Job, extraction: Extraction | None, answer: dict[str, Any], destination: str | None
) -> None:
    """Write the usage (words stand for tokens), the result and the effect, inside the caller's transaction."""
    source, status = job.source, answer["status"]
    file = {"execution_id": job.execution["id"], "file_execution_id": source.file_execution_id}
    if extraction is not None and source.file_execution_id is not None:
        call.database.insert(
            "usage",
            organization_pk=job.workflow["organization_pk"],
            file_execution_id=source.file_execution_id,
            prompt_tokens=_words(extraction.text if extraction.text is not None else extraction.rows),
            completion_tokens=_words(extraction.fields),
            pages=extraction.pages or 1,
        )
    outcome = {"status": status, "error": answer.get("error"), "result": answer.get("result")}
    summary = extraction.summary if extraction else None
    call.database.insert("results", **file, file_path=source.path, **outcome, summary=summary)
    detail = {"name": source.name, "status": status, "destination": destination}
    call.effect("files.execute", file=source.path, **file, **detail)
