"""What a person does with the platform: set things up, send files, trigger pipelines, look at what became of it."""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

from attrs import field, frozen

from unstract_devstack.extraction import Field
from unstract_devstack.http_calls import CallFailed, call, call_json
from unstract_devstack.multipart import Upload, form_files

UPLOAD_SECONDS = 120.0


@frozen
class FileRow:
    """A file of an execution, as the backend knows it."""

    id: str
    name: str
    path: str
    status: str
    error: str | None
    result: Any = field(repr=False)


@frozen
class ExecutionRow:
    """An execution, as the backend knows it."""

    id: str
    kind: str
    status: str
    total: int
    successful: int
    failed: int
    error: str | None
    files: tuple[FileRow, ...]


@frozen
class Effect:
    """One effect that the backend applied. `id` grows; `at` is seconds since the epoch."""

    id: int
    at: float
    operation: str
    file: str | None
    detail: Mapping[str, Any]


@frozen
class ApiAnswer:
    """What the public face says about an execution; `items` are the results, one per uploaded file."""

    status: str
    items: tuple[Mapping[str, Any], ...]


@frozen
class Platform:
    """A client of one reference backend, acting for one organization."""

    url: str
    api_key: str = field(repr=False)
    organization: str

    def set_up_organization(self) -> None:
        """Creates the organization."""
        self._dev("POST", "organizations", {"organization_id": self.organization, "name": self.organization})

    def create_workflow(self, name: str, kind: str, fields: Sequence[Field], **settings: Any) -> str:
        """Creates a workflow of this kind ("api", "etl", "task") and returns its id."""
        declared = [_declared(each) for each in fields]
        content = {"organization_id": self.organization, "name": name, "kind": kind, "fields": declared, **settings}
        return str(self._dev("POST", "workflows", content)["workflow_id"])

    def create_api_deployment(self, workflow_id: str, api_name: str) -> str:
        """Publishes a workflow under `api_name` and returns the deployment's id."""
        content = {"workflow_id": workflow_id, "api_name": api_name, "display_name": api_name}
        return str(self._dev("POST", "api-deployments", {"organization_id": self.organization, **content})["api_id"])

    def create_pipeline(self, workflow_id: str, name: str, kind: str = "ETL") -> str:
        """Creates a pipeline and returns its id."""
        content = {"organization_id": self.organization, "workflow_id": workflow_id, "name": name, "type": kind}
        return str(self._dev("POST", "pipelines", content)["pipeline_id"])

    def notify(self, url: str, **target: str) -> None:
        """Has `url` told about every end of `api_id=` or `pipeline_id=`."""
        content = {"organization_id": self.organization, "url": url, "platform": "API", **target}
        self._dev("POST", "notifications", content)

    def configure(self, key: str, value: Any) -> None:
        """Sets a configuration value of the organization."""
        self._dev("POST", "configuration", {"organization_id": self.organization, "key": key, "value": value})

    def trigger(self, pipeline_id: str, how: str = "run") -> str | None:
        """Starts a pipeline; the execution's id if the backend knows it already."""
        told = self._dev("POST", f"pipelines/{pipeline_id}/trigger", {"how": how})["execution_id"]
        return None if told is None else str(told)

    def stop(self, execution_id: str) -> None:
        """Stops an execution, as a person does."""
        self._dev("POST", f"executions/{quote(execution_id)}/stop", {})

    def send_backend_cleanup(self) -> str:
        """Has Beat's daily celery.backend_cleanup sent; its task's id."""
        return str(self._dev("POST", "beat/backend-cleanup", {})["task_id"])

    def api_url(self, api_name: str) -> str:
        """Where files for the deployment are sent, and its results are asked for."""
        return f"{self.url}/deployment/api/{quote(self.organization)}/{quote(api_name)}/"

    def send_files(self, api_name: str, files: Sequence[Upload], *, use_file_history: bool) -> str:
        """Sends files to an API deployment without waiting for results; returns the execution's id.

        Raises:
            CallFailed: refused, or no answer.
            FileChanged: a file could not be read to its end.
        """
        return self.send_parts(api_name, form_files(files), use_file_history=use_file_history)

    def send_parts(
        self, api_name: str, files: Sequence[tuple[str, tuple[str, bytes]]], *, use_file_history: bool = False
    ) -> str:
        """The same with the parts of a form that hold the files: each "files", and its name and content."""
        form = {
            "timeout": "-1",
            "include_metadata": "false",
            "use_file_history": "true" if use_file_history else "false",
        }
        parts = files or [("none", ("", b""))]
        reply = call("POST", self.api_url(api_name), form=form, files=parts, timeout=UPLOAD_SECONDS)
        if reply.status >= 300:
            raise CallFailed(f"the files were refused: {reply.text}", status=reply.status)
        message = reply.json()["message"]
        return str(parse_qs(urlsplit(message["status_api"]).query)["execution_id"][0])

    def results(self, api_name: str, execution_id: str) -> ApiAnswer:
        """The state of an execution and, once it is terminal, its results (which are handed out only once).

        Raises:
            CallFailed: no answer, or not one about this execution.
        """
        reply = call("GET", f"{self.api_url(api_name)}?execution_id={quote(execution_id)}")
        if reply.status not in (200, 422):
            raise CallFailed(f"asking for results: {reply.text}", status=reply.status)
        return _answer(reply.json())

    def execution(self, execution_id: str) -> ExecutionRow:
        """One execution with its files.

        Raises:
            CallFailed: there is none with this id.
        """
        rows = self._dev("GET", f"executions?execution_id={quote(execution_id)}")
        if not rows:
            raise CallFailed(f"the backend has no execution {execution_id}")
        return _execution(rows[0])

    def executions(self) -> tuple[ExecutionRow, ...]:
        """All executions of the organization."""
        rows = self._dev("GET", f"executions?organization_id={quote(self.organization)}")
        return tuple(_execution(row) for row in rows)

    def destination_paths(self, table: str) -> tuple[str, ...]:
        """The source path of every row in a destination table: one for each time that a file was worked on."""
        return tuple(row["file_path"] for row in self._dev("GET", f"destinations/{quote(table)}"))

    def effects(self, execution_id: str, *, after: int = 0) -> tuple[Effect, ...]:
        """What was applied for one execution since the effect with the id `after`, in order."""
        rows = self._dev("GET", f"history?execution_id={quote(execution_id)}&after={after}")
        return tuple(
            Effect(id=row["id"], at=row["at"], operation=row["operation"], file=row["file"], detail=row["detail"] or {})
            for row in rows
        )

    def _dev(self, method: str, path: str, content: Mapping[str, Any] | None = None) -> Any:
        return call_json(method, f"{self.url}/dev/{path}", payload=content, key=self.api_key)


def _declared(wanted: Field) -> dict[str, str]:
    declared = {"name": wanted.name, "pattern": wanted.pattern, "key": wanted.key}
    return {name: value for name, value in declared.items() if value is not None}


def _execution(row: Mapping[str, Any]) -> ExecutionRow:
    return ExecutionRow(
        id=row["id"],
        kind=row["kind"],
        status=row["status"],
        total=row["total_files"] or 0,
        successful=row["successful_files"] or 0,
        failed=row["failed_files"] or 0,
        error=row["error_message"],
        files=tuple(
            FileRow(
                id=file["id"],
                name=file["name"],
                path=file["path"] or "",
                status=file["status"],
                error=file["error"],
                result=file["result"],
            )
            for file in row["files"]
        ),
    )


def _answer(content: Mapping[str, Any]) -> ApiAnswer:
    told = content["message"]
    # Until the end there is nothing; at the end a list, also where the execution failed.
    return ApiAnswer(status=content["status"], items=tuple(told) if isinstance(told, list) else ())
