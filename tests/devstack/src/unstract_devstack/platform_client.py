"""What a person does with the platform: set things up, send files, trigger pipelines, look at what became of it."""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import parse_qs, quote, urlencode, urlsplit

from attrs import asdict, field, frozen
from cattrs import structure

from unstract_devstack.extraction import Field
from unstract_devstack.http_calls import CallFailed, call, call_json
from unstract_devstack.multipart import Upload, form_files

UPLOAD_SECONDS = 120.0


@frozen
class FileRow:
    """A file of an execution, as the backend knows it."""

    id: str
    name: str
    path: str | None
    status: str
    error: str | None
    result: Any = field(repr=False)


@frozen
class ExecutionRow:
    """An execution, as the backend knows it; without its files where they were not asked for."""

    id: str
    kind: str
    status: str
    total: int
    successful: int
    failed: int
    error: str | None
    pipeline_id: str | None = None
    files: tuple[FileRow, ...] = ()


@frozen
class Effect:
    """One effect that the backend applied. `id` grows; `at` is seconds since the epoch."""

    id: int
    at: float
    operation: str
    execution_id: str | None
    file: str | None
    key: str | None
    detail: Mapping[str, Any]

    @property
    def status(self) -> str:
        """The status that was written, if one was."""
        return str(self.detail.get("status") or "")


@frozen
class Request:
    """One request that the backend saw; status 0 where the connection was cut."""

    at: float
    method: str
    path: str
    key: str | None
    status: int
    seconds: float


@frozen
class ApiAnswer:
    """What the public API says about an execution; `items` are the results, one per uploaded file."""

    status: str
    items: tuple[Mapping[str, Any], ...]


@frozen
class DevApi:
    """The dev API of one reference backend. Every call raises CallFailed where it is refused."""

    url: str
    api_key: str = field(repr=False)

    def __call__(self, method: str, path: str, content: Mapping[str, Any] | None = None, **query: Any) -> Any:
        """The answer of one call."""
        target = f"{self.url}/dev/{path}" + (f"?{urlencode(query)}" if query else "")
        return call_json(method, target, payload=content, key=self.api_key)

    def effects(self, *, after: int = 0, **query: Any) -> tuple[Effect, ...]:
        """What was applied since the effect with the id `after`, in order; of one `execution_id` if one is given."""
        return structure(self("GET", "history", after=after, **query), tuple[Effect, ...])

    def executions(self, *, files: bool = True, **query: Any) -> tuple[ExecutionRow, ...]:
        """Executions of an `organization_id`, or the one of an `execution_id`."""
        return tuple(map(_execution, self("GET", "executions", files=str(files).lower(), **query)))

    def requests(self, *, since: float) -> tuple[Request, ...]:
        """The requests since a time, oldest first."""
        return structure(self("GET", "requests", since=since), tuple[Request, ...])

    def stop(self, execution_id: str) -> None:
        """Stops an execution, as a person does."""
        self("POST", f"executions/{quote(execution_id)}/stop", {})


@frozen
class Platform:
    """A client of one reference backend, acting for one organization. Every call raises CallFailed where it is refused."""

    url: str
    api_key: str = field(repr=False)
    organization: str

    @property
    def dev(self) -> DevApi:
        """The backend's dev API."""
        return DevApi(self.url, self.api_key)

    def _create(self, path: str, **content: Any) -> Any:
        return self.dev("POST", path, {"organization_id": self.organization, **content})

    def set_up_organization(self) -> None:
        """Creates the organization."""
        self._create("organizations", name=self.organization)

    def create_workflow(self, name: str, kind: str, fields: Sequence[Field], **settings: Any) -> str:
        """Creates a workflow of this kind ("api", "etl", "task") and returns its id."""
        declared = [asdict(each) for each in fields]
        return str(self._create("workflows", name=name, kind=kind, fields=declared, **settings)["workflow_id"])

    def add_tool(self, workflow_id: str, tool_id: str, **metadata: Any) -> str:
        """Adds a tool to a workflow, with these settings; its instance's id."""
        made = self._create("tool-instances", workflow_id=workflow_id, tool_id=tool_id, metadata=metadata)
        return str(made["tool_instance_id"])

    def create_api_deployment(self, workflow_id: str, api_name: str) -> str:
        """Publishes a workflow under `api_name` and returns the deployment's id."""
        made = self._create("api-deployments", workflow_id=workflow_id, api_name=api_name, display_name=api_name)
        return str(made["api_id"])

    def create_pipeline(self, workflow_id: str, name: str, kind: str = "ETL") -> str:
        """Creates a pipeline and returns its id."""
        return str(self._create("pipelines", workflow_id=workflow_id, name=name, type=kind)["pipeline_id"])

    def notify(self, url: str, **target: str) -> None:
        """Has `url` notified of every end of `api_id=` or `pipeline_id=`."""
        self._create("notifications", url=url, platform="API", **target)

    def configure(self, key: str, value: Any) -> None:
        """Sets a configuration value of the organization."""
        self._create("configuration", key=key, value=value)

    def trigger(self, pipeline_id: str, how: str = "run") -> str | None:
        """Starts a pipeline: "run" as a person does, "schedule" as Beat does. The execution's id if it is known already."""
        made = self.dev("POST", f"pipelines/{pipeline_id}/trigger", {"how": how})["execution_id"]
        return None if made is None else str(made)

    def stop(self, execution_id: str) -> None:
        """Stops an execution, as a person does."""
        self.dev.stop(execution_id)

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
        form = {"timeout": "-1", "include_metadata": "false", "use_file_history": str(use_file_history).lower()}
        parts = files or [("none", ("", b""))]
        reply = call("POST", self.api_url(api_name), form=form, files=parts, timeout=UPLOAD_SECONDS)
        if reply.status >= 300:
            raise CallFailed(f"the files were refused: {reply.text}", status=reply.status)
        message = reply.json()["message"]
        return str(parse_qs(urlsplit(message["status_api"]).query)["execution_id"][0])

    def results(self, api_name: str, execution_id: str) -> ApiAnswer:
        """The state of an execution and, once it is terminal, its results (which are handed out only once)."""
        reply = call("GET", f"{self.api_url(api_name)}?execution_id={quote(execution_id)}")
        if reply.status not in (200, 422):
            raise CallFailed(f"asking for results: {reply.text}", status=reply.status)
        content = reply.json()
        items = content["message"]
        # Until the end there is nothing; at the end a list, also where the execution failed.
        return ApiAnswer(status=content["status"], items=tuple(items) if isinstance(items, list) else ())

    def execution(self, execution_id: str) -> ExecutionRow:
        """One execution with its files. Raises CallFailed where there is none with this id."""
        rows = self.dev.executions(execution_id=execution_id)
        if not rows:
            raise CallFailed(f"the backend has no execution {execution_id}")
        return rows[0]

    def executions(self) -> tuple[ExecutionRow, ...]:
        """All executions of the organization."""
        return self.dev.executions(organization_id=self.organization)

    def destination_paths(self, table: str) -> tuple[str, ...]:
        """The source path of every row in a destination table: one for each time that a file was worked on."""
        return tuple(row["file_path"] for row in self.dev("GET", f"destinations/{quote(table)}"))

    def effects(self, execution_id: str, *, after: int = 0) -> tuple[Effect, ...]:
        """What was applied for one execution since the effect with the id `after`, in order."""
        return self.dev.effects(after=after, execution_id=execution_id)


def _execution(row: Mapping[str, Any]) -> ExecutionRow:
    counts = {name: row[f"{name}_files"] or 0 for name in ("total", "successful", "failed")}
    return structure({**row, **counts, "error": row["error_message"]}, ExecutionRow)
