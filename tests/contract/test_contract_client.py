"""The client against the recorded answers: it sends what was recorded, and reads what was answered.

Each recorded call that the client can make (by its method, path and body) is made again against a server that gives
the recorded answer. Calls that the client would never make (no key, bad ids, broken bodies) are not replayed.
"""

import json
import re
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
import stamina

from unstract_worker_core import serialization
from unstract_worker_core.backend import Backend
from unstract_worker_core.backend.executions import NewExecution, StatusUpdate, TokenUsage
from unstract_worker_core.backend.files import FileHash, FileStatusUpdate, FileToExecute
from unstract_worker_core.backend.history import HistoryQuery, NewHistory
from unstract_worker_core.backend.pipelines import Notification, RunEvent
from unstract_worker_core.config import BackendSettings, Secret
from unstract_worker_core.errors import BackendError, MessageError, NotFound, UnexpectedAnswer
from unstract_worker_core.statuses import ExecutionStatus, PipelineStatus

RECORDINGS = [
    json.loads(line) for line in (Path(__file__).parent / "recordings.jsonl").read_text(encoding="utf-8").splitlines()
]
KEY = "dummy-internal-key-123"
UUID = "([^/]+)"
Call = Callable[[Backend, str, tuple[str, ...], dict[str, str], Any], object]


def made(cls: type, body: Any, **more: Any) -> Any:
    return serialization.structure(body | more, cls)


def pairs(updates: list[Any]) -> list[tuple[str, FileStatusUpdate]]:
    return [(each["file_execution_id"], made(FileStatusUpdate, each)) for each in updates]


def queries(files: list[Any]) -> list[HistoryQuery]:
    """The client names each file itself, so that it finds the answer's keys again."""
    for file in files:
        file.setdefault("identifier", f"{file.get('provider_file_uuid') or file['cache_key']}:{file['file_path']}")
    return [made(HistoryQuery, each) for each in files]


CALLS: dict[tuple[str, str], Call] = {
    ("GET", "health/"): lambda b, o, i, q, d: b.check(),
    ("GET", f"workflow-execution/{UUID}/"): lambda b, o, i, q, d: b.executions.get(o, i[0]),
    ("GET", "workflow-execution/"): lambda b, o, i, q, d: b.executions.list(
        o, q["workflow_id"], [ExecutionStatus(each) for each in q["status__in"].split(",")]
    ),
    ("POST", f"workflow-execution/{UUID}/update_status/"): lambda b, o, i, q, d: b.executions.update_status(
        o, i[0], made(StatusUpdate, d)
    ),
    ("POST", "workflow-manager/execution/create/"): lambda b, o, i, q, d: b.executions.create(o, made(NewExecution, d)),
    ("POST", "workflow-manager/execution/cleanup/"): lambda b, o, i, q, d: b.executions.cleanup(o, d["execution_ids"]),
    ("GET", f"workflow-manager/workflow/{UUID}/tool-instances/"): lambda b, o, i, q, d: b.workflows.tool_instances(
        o, i[0]
    ),
    ("POST", f"workflow-manager/source-files/{UUID}/"): lambda b, o, i, q, d: b.workflows.source_files(
        o,
        i[0],
        d["execution_id"],
        pipeline_id=d.get("pipeline_id"),
        use_file_history=d.setdefault("use_file_history", True),
    ),
    ("POST", "tool-execution/validate/"): lambda b, o, i, q, d: b.workflows.validate_tools(
        o, d["workflow_id"], d["tool_instances"]
    ),
    ("GET", "file-execution/"): lambda b, o, i, q, d: b.files.list(o, q["execution_id"]),
    ("GET", f"file-execution/{UUID}/"): lambda b, o, i, q, d: b.files.get(o, i[0]),
    ("POST", "file-execution/"): lambda b, o, i, q, d: b.files.create(
        o, d["execution_id"], d["workflow_id"], made(FileHash, d["file_hash"])
    ),
    ("POST", "file-execution/batch-create/"): lambda b, o, i, q, d: b.files.create_many(
        o,
        d["file_executions"][0]["execution_id"],
        [made(FileHash, each["file_hash"]) for each in d["file_executions"]],
    ),
    ("POST", f"file-execution/{UUID}/status/"): lambda b, o, i, q, d: b.files.update_status(
        o, i[0], made(FileStatusUpdate, d)
    ),
    ("POST", "file-execution/batch-status-update/"): lambda b, o, i, q, d: b.files.update_statuses(
        o, pairs(d["status_updates"])
    ),
    ("POST", "workflow-manager/file-execution/check-active"): lambda b, o, i, q, d: b.files.check_active(
        o, d["workflow_id"], [(each["uuid"], each["path"]) for each in d["files"]], d["current_execution_id"]
    ),
    ("POST", "workflow-manager/execute-file/"): lambda b, o, i, q, d: b.files.execute(
        d["organization_id"], d["workflow_id"], d["execution_id"], made(FileToExecute, d["file_data"])
    ),
    ("GET", f"file-history/cache-key/{UUID}/"): lambda b, o, i, q, d: b.history.by_hash(
        o, q["workflow_id"], i[0], file_path=q.get("file_path")
    ),
    ("POST", "workflow-manager/file-history/check-batch/"): lambda b, o, i, q, d: b.history.check_batch(
        d.setdefault("organization_id", o), d["workflow_id"], d["file_hashes"]
    ),
    ("POST", "file-history/batch-lookup/"): lambda b, o, i, q, d: b.history.find_many(
        d.setdefault("organization_id", o), d["workflow_id"], queries(d["files"])
    ),
    ("POST", "file-history/create/"): lambda b, o, i, q, d: b.history.create(o, made(NewHistory, d)),
    ("GET", "platform-settings/platform-key/"): lambda b, o, i, q, d: b.tooling.platform_key(o),
    ("GET", f"pipeline/{UUID}/"): lambda b, o, i, q, d: b.pipelines.get(o, i[0]),
    ("PUT", f"pipeline/{UUID}/"): lambda b, o, i, q, d: b.pipelines.update(
        o, i[0], PipelineStatus(d["status"]), is_end=d.get("is_end", False)
    ),
    ("GET", f"webhook/pipeline/{UUID}/notifications/"): lambda b, o, i, q, d: b.notifications.for_pipeline(
        o, i[0], execution_id=q.get("execution_id")
    ),
    ("GET", f"webhook/api/{UUID}/notifications/"): lambda b, o, i, q, d: b.notifications.for_api(
        o, i[0], execution_id=q.get("execution_id")
    ),
    ("POST", "webhook/buffer/enqueue/"): lambda b, o, i, q, d: b.notifications.enqueue(
        o,
        made(RunEvent, d, type=d.setdefault("type", "ETL")),
        Notification(d["notification_id"], "WEBHOOK", d["platform"]),
    ),
    ("POST", "webhook/buffer/mark/dispatched/"): lambda b, o, i, q, d: b.notifications.mark_dispatched(
        d["organization_id"], d["buffer_row_ids"]
    ),
    ("POST", "webhook/buffer/mark/dead-letter/"): lambda b, o, i, q, d: b.notifications.mark_dead_letter(
        d["organization_id"], d["buffer_row_ids"]
    ),
    ("GET", f"usage/aggregated-token-count/{UUID}/"): lambda b, o, i, q, d: b.usage.tokens(o, i[0]),
    ("GET", f"usage/aggregated-pages-processed/{UUID}/"): lambda b, o, i, q, d: b.usage.pages(o, i[0]),
    (
        "GET",
        "configuration/MAX_PARALLEL_FILE_BATCHES/",
    ): lambda b, o, i, q, d: b.workflows.max_parallel_file_batches(q["organization_id"]),
}


class Replay:
    """Gives one recorded answer, and keeps what was asked."""

    def __init__(self) -> None:
        self.recorded: dict[str, Any] = {}
        self.asked: list[tuple[str, str, dict[str, str], Any]] = []


@pytest.fixture(scope="module")
def replay() -> Iterator[tuple[Replay, Backend]]:
    state = Replay()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def handle_any(self) -> None:
            content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            body = json.loads(content) if content else None
            state.asked.append((self.command, self.path, {k.lower(): v for k, v in self.headers.items()}, body))
            answer = state.recorded["response_body"]
            payload = (answer if isinstance(answer, str) else json.dumps(answer)).encode()
            self.send_response(state.recorded["status"])
            for name, value in state.recorded["response_headers"].items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(payload)))
            self.end_headers()
            self.wfile.write(payload)

        do_GET = do_POST = do_PUT = handle_any  # noqa: N815 - the names that http.server looks for

        def log_message(self, *args: object) -> None:
            """Quiet."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server, stamina.set_testing(True, attempts=1):
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        settings = BackendSettings(
            base_url=f"http://127.0.0.1:{server.server_address[1]}/internal", api_key=Secret(KEY)
        )
        backend = Backend(settings)
        yield state, backend
        backend.close()
        server.shutdown()
        thread.join(5)


def found(recorded: dict[str, Any]) -> tuple[Call, tuple[str, ...], dict[str, str]] | None:
    parts = urlsplit(recorded["path"])
    for (method, pattern), call in CALLS.items():
        match = re.fullmatch(f"/internal/v1/{pattern}", parts.path)
        if match and method == recorded["method"]:
            return call, match.groups(), dict(parse_qsl(parts.query))
    return None


def asks_alike(recorded: dict[str, Any], asked: tuple[str, str, dict[str, str], Any], body: Any) -> bool:
    """Whether the client asked what was recorded; nulls left out, file_execution=false and the time are the same."""
    method, path, headers, sent = asked
    if isinstance(sent, dict):
        sent.pop("timestamp", None)
    wanted, given = urlsplit(recorded["path"]), urlsplit(path)
    queries = [dict(parse_qsl(each.query)) | {"file_execution": "false"} for each in (wanted, given)]
    known = {name.lower(): value for name, value in recorded["request_headers"].items()}
    return (
        (method, given.path) == (recorded["method"], wanted.path)
        and queries[0] == queries[1]
        and without_nulls(sent) == without_nulls(body)
        and headers.get("authorization") == known.get("authorization")
        and ("health" in path or headers.get("x-organization-id") == known.get("x-organization-id"))
    )


def without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: without_nulls(item) for name, item in value.items() if item not in (None, False, {})}
    return [without_nulls(item) for item in value] if isinstance(value, list) else value


CLIENT_CALLS = [recorded for recorded in RECORDINGS if found(recorded)]


def replayed(replay: tuple[Replay, Backend], recorded: dict[str, Any]) -> object:
    """What the client makes of a recorded exchange; skips those that it would not ask in this way."""
    state, backend = replay
    asks = found(recorded)
    assert asks is not None
    call, ids, query = asks
    state.recorded, state.asked = recorded, []
    backend.executions._no_cleanup_until = 0.0  # an exchange before this one may have said that it is not offered
    organization = recorded["request_headers"].get("X-Organization-ID", "")
    body = json.loads(json.dumps(recorded["request_body"]))
    outcome: object
    try:
        outcome = call(backend, organization, ids, query, body)
    except BackendError as error:
        outcome = error
    except MessageError as error:
        assert state.asked == []
        return error
    except (KeyError, TypeError, ValueError, AttributeError):
        pytest.skip("no such call can be made: fields are missing or of the wrong kind")
    if not state.asked or not asks_alike(recorded, state.asked[-1], body):
        pytest.skip("asked differently by the client")
    return outcome


@pytest.mark.parametrize("recorded", CLIENT_CALLS, ids=[each["name"] for each in CLIENT_CALLS])
def test_recorded_exchange(replay: tuple[Replay, Backend], recorded: dict[str, Any]) -> None:
    outcome = replayed(replay, recorded)
    answer, status = recorded["response_body"], recorded["status"]
    if isinstance(outcome, MessageError):
        assert outcome.field  # refused before it was sent, and said what is wrong
    elif isinstance(outcome, BackendError):
        assert outcome.status == status
        assert "<html" not in str(outcome)
        says_error = isinstance(answer, dict) and answer.get("status") == "error"
        assert status >= 400 or says_error or answer.get("file_name") == ""
        if status == 404:
            assert type(outcome) is (NotFound if isinstance(answer, dict) else UnexpectedAnswer)
    else:
        assert status < 300 or status in (400, 404, 405, 422) or recorded["name"] == "platform_key.none"
        assert "minio123" not in repr(outcome)
        assert "dummy-hook" not in repr(outcome)


def test_each_call_of_the_client_is_recorded_and_read(replay: tuple[Replay, Backend]) -> None:
    """Every call is met by at least one recorded exchange that it asks alike and whose answer it takes."""
    read = set()
    for recorded in CLIENT_CALLS:
        try:
            outcome = replayed(replay, recorded)
        except pytest.skip.Exception:
            continue
        if not isinstance(outcome, BackendError | MessageError):
            parts = urlsplit(recorded["path"])
            read |= {
                key
                for key in CALLS
                if key[0] == recorded["method"] and re.fullmatch(f"/internal/v1/{key[1]}", parts.path)
            }
    assert set(CALLS) - read == {
        ("POST", "workflow-manager/execute-file/"),  # the platform never succeeds in it
        ("POST", "file-execution/batch-create/"),  # recorded with items that the client never makes: below
        ("POST", "file-execution/batch-status-update/"),
    }


def test_batches_are_read_item_by_item(replay: tuple[Replay, Backend]) -> None:
    state, backend = replay
    known = {each["name"]: each for each in RECORDINGS}
    row = "00000000-0000-0000-0000-000000000901"
    state.recorded = known["fe.batch_status.mixed"]
    update = FileStatusUpdate(status=ExecutionStatus.COMPLETED)
    written = backend.files.update_statuses(
        "org_alpha", [(row, update)] * state.recorded["response_body"]["total_processed"]
    )
    assert [name for name, _ in written] == ["00000000-0000-0000-0000-00000000ffff", "", row]
    assert written[0][1] == "WorkflowFileExecution not found"
    state.recorded = known["fe.batch_create.mixed"]
    file = FileHash(file_name="n.txt", file_path="/in/bc.txt")
    created = backend.files.create_many("org_alpha", row, [file] * 3)
    assert [(each.file_path, each.status) for each in created.created] == [("/in/bc.txt", None)]
    assert [name for name, _ in created.failed] == ["n.txt", "n.txt"]


def test_histories_of_many_files_come_by_the_names_that_were_asked_for(replay: tuple[Replay, Backend]) -> None:
    state, backend = replay
    state.recorded = next(each for each in RECORDINGS if each["name"] == "fh.batch.mixed")
    asked = queries(state.recorded["request_body"]["files"])
    found = backend.history.find_many("org_alpha", "00000000-0000-0000-0000-000000000102", asked)
    assert {name: (each.status, each.execution_count, each.file_path) for name, each in found.items()} == {
        "prov-hist:/in/hist.txt": (ExecutionStatus.COMPLETED, 1, "/in/hist.txt"),
        "mine": (ExecutionStatus.COMPLETED, 1, "/in/hist.txt"),
        "prov-err:/in/err.txt": (ExecutionStatus.ERROR, 2, "/in/err.txt"),
    }
    assert {(each.max_execution_count, each.has_exceeded_limit) for each in found.values()} == {(3, False)}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("wfexec.status.executing", None),
        ("wfexec.status.pg_completed_overwrite", "already_final"),
        ("wm.check_active.busy", {("prov-seed", "/in/seed.txt"): "00000000-0000-0000-0000-000000000802"}),
        ("config.override", 4),
        ("config.unknown_org", None),
        ("fh.cache_key.miss", None),
        ("wm.cleanup.ok", False),
        ("usage.pages.none", None),
        ("usage.tokens.none", TokenUsage()),
        ("webhook.buffer.inprogress_failureonly", None),
    ],
)
def test_what_the_client_reads(replay: tuple[Replay, Backend], name: str, expected: object) -> None:
    named = [each for each in RECORDINGS if each["name"] == name]
    if not named:
        pytest.skip("not among the kept recordings")
    assert replayed(replay, named[0]) == expected
