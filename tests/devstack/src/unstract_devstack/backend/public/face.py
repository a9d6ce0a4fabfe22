"""The public API over HTTP: POST starts an execution and may wait for it, GET reads its result once."""

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import redis
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from unstract_devstack.backend.config import UploadRules
from unstract_devstack.backend.public import runs
from unstract_devstack.backend.public.runs import Deployment, Wishes
from unstract_devstack.backend.public.staging import Upload
from unstract_devstack.backend.services import Services
from unstract_devstack.backend.wire import Refused, refuse, reply
from unstract_devstack.producer import SendFailed

Done = TypeVar("Done")
PATH = "/deployment/api/{organization}/{api_name}/"
MAX_FILES = 32
MANY_FILES = 2000
MAX_TIMEOUT = 300.0
MAX_UPLOAD_BYTES = 64 * 1024 * 1024


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
            answer = refused.reply
        except SendFailed as problem:
            answer = reply(503, {"error": str(problem)})
        except redis.RedisError as problem:
            answer = reply(503, {"error": f"the platform's Redis does not answer: {problem}"})
        await answer(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        deployment = await self._in_thread(runs.deployment_of, self._services, *request.path_params.values())
        if request.method == "POST":
            uploads, wishes = await self._form(request)
            return await self._in_thread(self._started, deployment, uploads, wishes)
        if request.method == "GET":
            return await self._in_thread(self._read, deployment, request)
        raise refuse(405, error=f"{request.method} is not served here: POST files, or GET with execution_id")

    async def _in_thread(self, function: Callable[..., Done], *values: Any) -> Done:
        return await asyncio.get_running_loop().run_in_executor(self._pool, function, *values)

    async def _form(self, request: Request) -> tuple[list[Upload], Wishes]:
        """The uploads and wishes of a multipart body. Raises Refused with 400 or 413."""
        try:
            form = await request.form(max_files=MANY_FILES)
        except HTTPException as problem:
            raise refuse(400, error=f"the body is not multipart/form-data: {problem.detail}") from None
        try:
            files = [item for item in form.getlist("files") if isinstance(item, UploadFile)]
            if sum(file.size or 0 for file in files) > MAX_UPLOAD_BYTES:
                raise refuse(413, error=f"the files are larger than {MAX_UPLOAD_BYTES} bytes together")
            uploads = [Upload(file.filename or "file", await file.read()) for file in files]
            wishes = wishes_of(form)
        finally:
            await form.close()
        if not uploads:
            raise refuse(400, error='no files: send them as multipart/form-data in fields called "files"')
        if self._services.config.upload_rules is UploadRules.PLATFORM:
            demand_allowed(uploads, wishes)
            uploads = distinct(uploads)
        return uploads, wishes

    def _started(self, deployment: Deployment, uploads: list[Upload], wishes: Wishes) -> Response:
        execution_id = runs.start(self._services, deployment, uploads, wishes)
        path = PATH.format(organization=deployment.organization_id, api_name=deployment.api_name)
        message: dict[str, Any] = {
            "execution_status": "PENDING", "status_api": f"{path}?execution_id={execution_id}",
            "execution_id": execution_id, "error": None, "result": None,
        }  # fmt: skip
        if wishes.timeout < 0:
            return reply(200, {"message": message})
        status = self._polled(deployment.workflow_id, execution_id, wishes.timeout)
        if not runs.finished(status):
            # A missing hash is no status: the platform fails to rebuild it, and the caller gets EXECUTING.
            return reply(200, {"message": {**message, "execution_status": status or "EXECUTING"}})
        items = self._collected(deployment, execution_id, wishes.include_metadata)
        code = 200 if status == "COMPLETED" else 422
        return reply(code, {"message": {**message, "execution_status": status, "result": items}})

    def _collected(self, deployment: Deployment, execution_id: str, with_metadata: bool) -> list[Any]:
        return runs.collected(self._services, deployment.workflow_id, execution_id, with_metadata=with_metadata)

    def _polled(self, workflow_id: str, execution_id: str, seconds: float) -> str | None:
        """The status in Redis as soon as it is terminal, else the one at the end of the time; None if it is missing."""
        deadline = time.monotonic() + min(seconds, MAX_TIMEOUT)
        while True:
            status = self._services.cache.status(workflow_id, execution_id)
            left = deadline - time.monotonic()
            if runs.finished(status) or status is None or left <= 0:
                return status
            if self._closing.wait(min(left, self._services.config.poll_seconds)):
                return status

    def _read(self, deployment: Deployment, request: Request) -> Response:
        """What has become of an execution: 200 or 422 with the results, and 406 for every read after that."""
        execution_id = request.query_params.get("execution_id")
        if not execution_id:
            raise refuse(400, error="execution_id is missing: GET with ?execution_id=")
        row = runs.execution_of(self._services, deployment, execution_id)
        status = row["status"]
        if not runs.finished(status):
            return reply(422, {"status": status, "message": None})
        if row["result_acknowledged"]:
            return reply(406, {"status": status, "message": "the result of this execution has been fetched already"})
        items = self._collected(deployment, execution_id, truth(request.query_params.get("include_metadata")))
        return reply(200 if status == "COMPLETED" else 422, {"status": status, "message": items})


def demand_allowed(uploads: list[Upload], wishes: Wishes) -> None:
    """Raise Refused with 400 for what the platform does not take in one call."""
    if len(uploads) > MAX_FILES:
        raise refuse(400, error=f"{len(uploads)} files: at most {MAX_FILES} files a call")
    if len(wishes.tags) > 1:
        raise refuse(400, error=f"{len(wishes.tags)} tags: at most 1 tag a call")
    empty = [upload.name for upload in uploads if not upload.content]
    if empty:
        raise refuse(400, error=f"the submitted file is empty: {', '.join(empty)}")


def distinct(uploads: list[Upload]) -> list[Upload]:
    """Without those whose content an earlier one has."""
    first: dict[bytes, Upload] = {}
    for upload in uploads:
        first.setdefault(upload.content, upload)
    return list(first.values())


def truth(value: object) -> bool:
    """true, 1, yes and on, in any case."""
    return str(value or "").lower() in {"true", "1", "yes", "on"}


def wishes_of(form: FormData) -> Wishes:
    """The other fields of the form. Raises Refused with 400."""
    try:
        timeout = float(str(form.get("timeout") or -1))
    except ValueError:
        raise refuse(400, error="timeout must be a number of seconds, or -1 not to wait") from None
    tags = tuple(tag.strip() for tag in str(form.get("tags") or "").split(",") if tag.strip())
    return Wishes(timeout, truth(form.get("include_metadata")), truth(form.get("use_file_history")), tags)
