"""The public API: POST starts an execution of an API deployment and may wait for it, GET reads its result once."""

import asyncio
import json
import threading
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import redis
from attrs import frozen
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from unstract_devstack.backend.config import UploadRules
from unstract_devstack.backend.database import Row
from unstract_devstack.backend.handlers.executions import TERMINAL
from unstract_devstack.backend.services import Services, status_key
from unstract_devstack.backend.staging import Upload, staged
from unstract_devstack.backend.wire import Refused, refuse
from unstract_devstack.producer import API_QUEUE, SendFailed

Done = TypeVar("Done")
PATH = "/deployment/api/{organization}/{api_name}/"
MAX_FILES = 32
MANY_FILES = 2000
MAX_TIMEOUT = 300.0
MAX_UPLOAD_BYTES = 64 * 1024 * 1024


@frozen
class Wishes:
    """What a caller asks for besides the files. Timeout in seconds; negative: do not wait."""

    timeout: float
    include_metadata: bool
    use_file_history: bool
    tags: tuple[str, ...]

    @classmethod
    def of(cls, form: FormData) -> "Wishes":
        """The other fields of the form. Raises Refused with 400."""
        try:
            timeout = float(str(form.get("timeout") or -1))
        except ValueError:
            raise refuse(400, error="timeout must be a number of seconds, or -1 not to wait") from None
        tags = tuple(tag.strip() for tag in str(form.get("tags") or "").split(",") if tag.strip())
        return cls(timeout, truth(form.get("include_metadata")), truth(form.get("use_file_history")), tags)


class PublicFace:
    """Answers the callers of API deployments; a caller that waits for its execution holds a thread, as in Django."""

    def __init__(self, services: Services, pool: ThreadPoolExecutor) -> None:
        self._services = services
        self._pool = pool
        self._closing = threading.Event()

    def release_callers(self) -> None:
        """Let waiting callers go with the status that they would see now."""
        self._closing.set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        try:
            answer = await self._answer(Request(scope, receive))
        except Refused as refused:
            answer = refused.answer
        except SendFailed as problem:
            answer = JSONResponse({"error": str(problem)}, 503)
        except redis.RedisError as problem:
            answer = JSONResponse({"error": f"the platform's Redis does not answer: {problem}"}, 503)
        await answer(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        deployment = await self._in_thread(self._deployment, *request.path_params.values())
        if request.method == "POST":
            uploads, wishes = await self._form(request)
            return await self._in_thread(self._started, deployment, uploads, wishes)
        if request.method == "GET":
            return await self._in_thread(self._read, deployment, request)
        raise refuse(405, error=f"{request.method} is not served here: POST files, or GET with execution_id")

    async def _in_thread(self, function: Callable[..., Done], *values: Any) -> Done:
        return await asyncio.get_running_loop().run_in_executor(self._pool, function, *values)

    def _deployment(self, organization_id: str, api_name: str) -> Row:
        """The deployment at a public path. Raises Refused with 404."""
        where = {"organization_id": organization_id, "api_name": api_name, "is_active": 1}
        row = self._services.database.get("shown_api_deployments", **where)
        if row is None:
            raise refuse(404, error=f"there is no API {api_name!r} in organization {organization_id!r}")
        return row

    async def _form(self, request: Request) -> tuple[list[Upload], Wishes]:
        """The uploads and wishes of a multipart body. Raises Refused with 400 or 413."""
        try:
            async with request.form(max_files=MANY_FILES) as form:
                files = [item for item in form.getlist("files") if isinstance(item, UploadFile)]
                if sum(file.size or 0 for file in files) > MAX_UPLOAD_BYTES:
                    raise refuse(413, error=f"the files are larger than {MAX_UPLOAD_BYTES} bytes together")
                uploads = [Upload(file.filename or "file", await file.read()) for file in files]
                wishes = Wishes.of(form)
        except HTTPException as problem:
            raise refuse(400, error=f"the body is not multipart/form-data: {problem.detail}") from None
        if not uploads:
            raise refuse(400, error='no files: send them as multipart/form-data in fields called "files"')
        if self._services.config.upload_rules is UploadRules.PLATFORM:
            demand_allowed(uploads, wishes)
            contents = [upload.content for upload in uploads]
            uploads = [upload for at, upload in enumerate(uploads) if contents.index(upload.content) == at]
        return uploads, wishes

    def _started(self, deployment: Row, uploads: list[Upload], wishes: Wishes) -> Response:
        execution_id = self._start(deployment, uploads, wishes)
        path = PATH.format(organization=deployment["organization_id"], api_name=deployment["api_name"])
        message: dict[str, Any] = {
            "execution_status": "PENDING", "status_api": f"{path}?execution_id={execution_id}",
            "execution_id": execution_id, "error": None, "result": None,
        }  # fmt: skip
        if wishes.timeout < 0:
            return JSONResponse({"message": message})
        status = self._polled(deployment["workflow_id"], execution_id, wishes.timeout)
        if status not in TERMINAL:
            # A missing hash is no status: the platform fails to rebuild it, and the caller gets EXECUTING.
            return JSONResponse({"message": {**message, "execution_status": status or "EXECUTING"}})
        items = self._collected(deployment, execution_id, wishes.include_metadata)
        code = 200 if status == "COMPLETED" else 422
        return JSONResponse({"message": {**message, "execution_status": status, "result": items}}, code)

    def _start(self, deployment: Row, uploads: list[Upload], wishes: Wishes) -> str:
        """Stage the files, create the PENDING row and send its start message; returns the execution's id."""
        services, workflow_id, execution_id = self._services, deployment["workflow_id"], str(uuid.uuid4())
        directory = f"unstract/api/{deployment['organization_id']}/{workflow_id}/{execution_id}"
        files = staged(services.root, directory, uploads, store=services.config.uploads_store)
        for file in files.values():
            done = {"workflow_id": workflow_id, "cache_key": file["file_hash"], "status": "COMPLETED"}
            if wishes.use_file_history and services.database.get("file_histories", **done):
                file["is_executed"] = True
        services.create_execution(
            id=execution_id, organization_pk=deployment["organization_pk"], workflow_id=workflow_id,
            pipeline_id=deployment["id"], total_files=len(files),
            tags=[{"id": str(uuid.uuid5(uuid.NAMESPACE_OID, tag)), "name": tag, "description": ""} for tag in wishes.tags],
        )  # fmt: skip
        services.start(deployment, execution_id, files, API_QUEUE, use_file_history=wishes.use_file_history)
        return execution_id

    def _polled(self, workflow_id: str, execution_id: str, seconds: float) -> str | None:
        """The status in Redis as soon as it is terminal, else the one at the end of the time; None if it is missing."""
        deadline = time.monotonic() + min(seconds, MAX_TIMEOUT)
        while True:
            found = self._services.platform_redis.hget(status_key(workflow_id, execution_id), "status")
            status = None if found is None else str(found)
            left = deadline - time.monotonic()
            if status is None or status in TERMINAL or left <= 0:
                return status
            if self._closing.wait(min(left, self._services.config.poll_seconds)):
                return status

    def _read(self, deployment: Row, request: Request) -> Response:
        """What has become of an execution: 200 or 422 with the results, and 406 for every read after that."""
        execution_id = request.query_params.get("execution_id")
        if not execution_id:
            raise refuse(400, error="execution_id is missing: GET with ?execution_id=")
        where = {"workflow_id": deployment["workflow_id"], "pipeline_id": deployment["id"]}
        row = self._services.database.get("executions", id=execution_id, **where)
        if row is None:
            raise refuse(404, error=f"there is no execution {execution_id!r} of this API")
        status = row["status"]
        if status not in TERMINAL:
            return JSONResponse({"status": status, "message": None}, 422)
        if row["result_acknowledged"]:
            problem = "the result of this execution has been fetched already"
            return JSONResponse({"status": status, "message": problem}, 406)
        items = self._collected(deployment, execution_id, truth(request.query_params.get("include_metadata")))
        return JSONResponse({"status": status, "message": items}, 200 if status == "COMPLETED" else 422)

    def _collected(self, deployment: Row, execution_id: str, with_metadata: bool) -> list[Any]:
        """The results of a terminal execution. Reading deletes them and acknowledges the execution."""
        key, store = f"api_results:{deployment['workflow_id']}:{execution_id}", self._services.platform_redis
        items = [json.loads(str(item)) for item in store.lrange(key, 0, -1)]
        store.delete(status_key(deployment["workflow_id"], execution_id), key)
        self._services.database.update("executions", execution_id, result_acknowledged=1)
        return [item if with_metadata else _without_metadata(item) for item in items]


def _without_metadata(item: dict[str, Any]) -> dict[str, Any]:
    result = item.get("result")
    if isinstance(result, dict):
        result = {name: value for name, value in result.items() if name not in {"metadata", "metrics"}}
    return {**item, "result": result, "metadata": {}}


def demand_allowed(uploads: list[Upload], wishes: Wishes) -> None:
    """Raise Refused with 400 for what the platform does not take in one call."""
    if len(uploads) > MAX_FILES:
        raise refuse(400, error=f"{len(uploads)} files: at most {MAX_FILES} files a call")
    if len(wishes.tags) > 1:
        raise refuse(400, error=f"{len(wishes.tags)} tags: at most 1 tag a call")
    empty = [upload.name for upload in uploads if not upload.content]
    if empty:
        raise refuse(400, error=f"the submitted file is empty: {', '.join(empty)}")


def truth(value: object) -> bool:
    """true, 1, yes and on, in any case."""
    return str(value or "").lower() in {"true", "1", "yes", "on"}
