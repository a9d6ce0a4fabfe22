"""workflow-manager: execute-file, the work on one file. It records its effect each time that it is called."""

import json
import time
from pathlib import Path
from typing import Any

from attrs import evolve, frozen
from starlette.responses import Response

from unstract_devstack.backend import destinations
from unstract_devstack.backend.config import FileWork
from unstract_devstack.backend.database import Row
from unstract_devstack.backend.destinations import Source
from unstract_devstack.backend.services import Call
from unstract_devstack.backend.wire import refuse, reply, valid_uuid
from unstract_devstack.extraction import Extraction, ExtractionError, Field, extract

RECORDED_ERROR = "'WorkflowExecutionServiceHelper' object has no attribute 'execute_single_file'"
NO_PLATFORM_KEY = (
    "An active platform key is required to run this workflow: create one in the organization's platform settings."
)
GONE = "Workflow or execution not found: {} matching query does not exist."


@frozen
class Asked:
    """One file to work on."""

    workflow: Row
    execution: Row
    organization_id: str
    data: dict[str, Any]

    @property
    def source(self) -> Source:
        """The file: its name as its sender knows it, its path in the staging or in the source, and its row."""
        path, row = str(self.data.get("file_path") or ""), self.data.get("file_execution_id")
        name = self.data.get("file_name") or self.data.get("name") or Path(path).name
        return Source(str(name), path, str(row) if row else None)


@frozen
class Done:
    """What became of a file: a result and where it was written, or the reason why there is none."""

    extraction: Extraction | None = None
    result: dict[str, Any] | None = None
    destination: str | None = None
    failure: str | None = None

    @property
    def status(self) -> str:
        """As the answer says it."""
        return "success" if self.failure is None else "error"


def execute_file(call: Call) -> Response:
    """200 whether the file succeeded or not: the body says which."""
    asked = _asked(call)
    if call.services.config.execute_file is FileWork.RECORDED:
        return _answer(asked, Done(failure=RECORDED_ERROR))
    if not _has_platform_key(call, asked):
        return _answer(asked, Done(failure=NO_PLATFORM_KEY))
    done = _worked(call, asked)
    with call.database.write():
        done = _delivered(call, asked, done)
        answer = _answer(asked, done)
        _record(call, asked, done)
        call.keep(answer)
    return answer


def _has_platform_key(call: Call, asked: Asked) -> bool:
    organization = call.services.organizations.by_identifier(asked.organization_id)
    return organization is not None and organization.platform_key is not None


def _answer(asked: Asked, done: Done) -> Response:
    outcome = {"result": done.result} if done.failure is None else {"error": done.failure}
    head = {"status": done.status, "execution_id": asked.execution["id"]}
    return reply(200, {**head, **outcome, "file_name": asked.data.get("name")})


def _worked(call: Call, asked: Asked) -> Done:
    """The work, without any effect yet."""
    started = time.perf_counter()
    fields = tuple(Field(**field) for field in json.loads(asked.workflow["fields"]))
    try:
        path = located(call, asked)
        extraction = extract(path, mime_type=asked.data.get("mime_type") or None, fields=fields, name=asked.source.name)
    except ExtractionError as problem:
        return Done(failure=str(problem))
    return Done(extraction, _result(asked, extraction, time.perf_counter() - started))


def _delivered(call: Call, asked: Asked, done: Done) -> Done:
    """The result in its destination; one that can not be written makes the file fail."""
    if done.result is None:
        return done
    try:
        written = destinations.write(call.services, asked.workflow, asked.source, done.result)
    except OSError as problem:
        return Done(failure=f"Destination error: {problem.strerror or problem}")
    return evolve(done, destination=written)


def _asked(call: Call) -> Asked:
    body = call.fields()
    names = ("workflow_id", "execution_id", "file_data", "organization_id")
    if not all(body.get(name) for name in names):
        raise refuse(400, error="workflow_id, execution_id, file_data, and organization_id are required")
    organization = call.services.organizations.by_identifier(str(body["organization_id"]))
    pk = organization.pk if organization and call.scope.managed() == organization.pk else -1
    workflow = call.database.one(
        "SELECT * FROM workflows WHERE id = ? AND organization_pk = ?", (valid_uuid(body["workflow_id"]), pk)
    )
    if workflow is None:
        raise refuse(404, error=GONE.format("Workflow"))
    execution = call.database.one(
        "SELECT * FROM executions WHERE id = ? AND organization_pk = ?", (valid_uuid(body["execution_id"]), pk)
    )
    if execution is None:
        raise refuse(404, error=GONE.format("WorkflowExecution"))
    return Asked(workflow, execution, str(body["organization_id"]), body["file_data"])


def located(call: Call, asked: Asked) -> Path:
    """Where the file is. Raises ExtractionError for one that is not inside the staging or the source folder."""
    if asked.workflow["type"] == "API":
        base = call.services.root
        staged = ("unstract", "api", asked.organization_id, asked.workflow["id"], asked.execution["id"])
        inside = base.joinpath(*staged)
    else:
        base, inside = (Path(asked.workflow[name] or "/nowhere") for name in ("source_root", "source_folder"))
    wanted = asked.source.path
    if not wanted or "\x00" in wanted:
        raise ExtractionError("the request names no file path")
    path = (base / wanted).resolve()
    if not path.is_relative_to(inside.resolve()) or (base / wanted).is_symlink():
        raise ExtractionError(f"{wanted} is not inside the folder that this execution's files are in")
    if not path.is_file():
        raise ExtractionError(f"{wanted} is not there")
    return path


def _result(asked: Asked, extraction: Extraction, seconds: float) -> dict[str, Any]:
    metadata = {
        "source_name": asked.source.name,
        "source_hash": asked.data.get("file_hash") or None,
        "workflow_id": asked.workflow["id"],
        "execution_id": asked.execution["id"],
        "organization_id": asked.organization_id,
        "total_elapsed_time": round(seconds, 6),
        "tool_metadata": [{"tool_name": "extraction", "elapsed_time": round(seconds, 6)}],
    }
    return {
        "output": extraction.as_output(),
        "metadata": metadata,
        "metrics": {"extraction": {"seconds": round(seconds, 6)}},
    }


def _words(content: Any) -> int:
    text = content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)
    return len(text.split())


def _record(call: Call, asked: Asked, done: Done) -> None:
    """Write the usage (words stand for tokens), the result and the effect, inside the caller's transaction."""
    source, extraction = asked.source, done.extraction
    file_id = source.file_execution_id
    if extraction is not None and file_id is not None:
        call.database.insert(
            "usage",
            organization_pk=asked.workflow["organization_pk"],
            file_execution_id=file_id,
            prompt_tokens=_words(extraction.text if extraction.text is not None else extraction.rows),
            completion_tokens=_words(extraction.fields),
            pages=extraction.pages or 1,
        )
    call.database.insert(
        "results", execution_id=asked.execution["id"], file_execution_id=file_id, file_path=source.path,
        status=done.status, error=done.failure, result=json.dumps(done.result) if done.result is not None else None,
    )  # fmt: skip
    call.effect(
        "files.execute", execution_id=asked.execution["id"], file=source.path, file_execution_id=file_id,
        name=source.name, status=done.status, destination=done.destination,
    )  # fmt: skip
