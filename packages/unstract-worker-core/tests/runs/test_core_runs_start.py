"""Decisions at the opening of a run, without Redis, HTTP or Celery."""

import pytest
from attrs import evolve

from unstract_worker_core.backend.executions import Execution
from unstract_worker_core.backend.files import FileExecution
from unstract_worker_core.backend.workflows import ToolInstance, ToolProblem, ToolValidation
from unstract_worker_core.ledger import FileItem
from unstract_worker_core.messages.start import StartMessage
from unstract_worker_core.runs.rows import match_rows, row_request
from unstract_worker_core.runs.session import Arm, Close
from unstract_worker_core.runs.start import LoadedRun, context_of, decision_if_terminal, tool_problem
from unstract_worker_core.statuses import ExecutionStatus, RunKind

FILES = (FileItem(1, "a.txt", "p/a.txt", hash="h1"), FileItem(2, "b.txt", "p/b.txt", hash="h2"))
START = StartMessage("org_1", "w", "e", RunKind.API, files=FILES, log_events_id="session", use_file_history=True)
EXECUTION = Execution("e", "w", ExecutionStatus.PENDING, pipeline_id="p", execution_log_id="log", tags=("t",))


@pytest.mark.parametrize("status", [ExecutionStatus.COMPLETED, ExecutionStatus.ERROR])
@pytest.mark.parametrize("stop", [True, False])
def test_what_is_over_is_left_alone(status, stop):
    decision = decision_if_terminal(LoadedRun(START, evolve(EXECUTION, status=status)), stop=stop)
    assert isinstance(decision, Close)
    assert decision.final.status is status
    assert decision.dead_letter is None


@pytest.mark.parametrize(("status", "stop"), [("STOPPED", False), ("PENDING", True), ("EXECUTING", True)])
def test_a_stop_is_armed_without_batches(status, stop):
    decision = decision_if_terminal(LoadedRun(START, evolve(EXECUTION, status=ExecutionStatus(status))), stop=stop)
    assert isinstance(decision, Arm)
    assert decision.context.stopped
    assert decision.batches == ()


@pytest.mark.parametrize("status", ["PENDING", "EXECUTING"])
def test_what_is_open_goes_on(status):
    assert decision_if_terminal(LoadedRun(START, evolve(EXECUTION, status=ExecutionStatus(status))), stop=False) is None


def test_the_context_takes_what_the_message_does_not_say_from_the_execution():
    context = context_of(START, EXECUTION)
    assert (context.pipeline_id, context.log_channel, context.tags) == ("p", "log", ("t",))
    assert (context.total_files, context.use_file_history) == (2, True)
    assert context_of(evolve(START, pipeline_id="own"), EXECUTION).pipeline_id == "own"


@pytest.mark.parametrize(
    ("log", "session", "pipeline", "channel"),
    [("log", "s", "p", "log"), ("", "s", "p", "s"), ("", None, "p", "p"), ("", None, None, None)],
)
def test_the_log_goes_to_the_executions_channel_else_to_its_pipelines(log, session, pipeline, channel):
    execution = evolve(EXECUTION, execution_log_id=log, pipeline_id=pipeline)
    assert context_of(evolve(START, log_events_id=session), execution).log_channel == channel


def test_an_etl_runs_files_are_not_those_of_its_message():
    assert context_of(evolve(START, kind=RunKind.ETL)).total_files == 0


TOOLS = (ToolInstance("1", "classify"), ToolInstance("2", "extract"))


@pytest.mark.parametrize(
    ("validation", "problem"),
    [
        (ToolValidation(success=True, validated_ids=frozenset({"1", "2"})), None),
        (
            ToolValidation(success=True, validated_ids=frozenset({"1"})),
            "tool validation failed: not validated: extract",
        ),
        (ToolValidation(success=True), "tool validation failed: not validated: classify, extract"),
        (ToolValidation(success=False), "tool validation failed: no reason given"),
        (
            ToolValidation(success=False, errors=(ToolProblem("bad id", "classify"), ToolProblem("gone"))),
            "tool validation failed: classify: bad id; tool: gone",
        ),
    ],
)
def test_success_needs_every_tool(validation, problem):
    assert tool_problem(TOOLS, validation) == problem


def row(row_id, name="n", **more):
    return FileExecution(row_id, name, **more)


def test_api_rows_are_matched_by_content():
    rows = [row("r1", file_hash="h1"), row("r9", file_hash="h9", file_path="p/b.txt"), row("r0", file_path="p/b.txt")]
    assert match_rows(FILES, rows, RunKind.API) == {1: "r1"}


def test_source_rows_are_matched_by_place_and_storage_id():
    items = (FileItem(1, "a", "p/a", provider_file_uuid="u1"), FileItem(2, "b", "p/b"))
    rows = [
        row("r1", file_path="p/a", provider_file_uuid="u1"),
        row("r2", file_path="p/b", provider_file_uuid="u2"),
        row("r3", file_path="p/b"),
    ]
    assert match_rows(items, rows, RunKind.ETL) == {1: "r1", 2: "r3"}


def test_half_made_rows_are_no_rows():
    assert match_rows(FILES, [row("r1", name="", file_hash="h1")], RunKind.API) == {}


def test_a_row_is_asked_for_by_what_the_backend_looks_at():
    api = row_request(evolve(FILES[0], size=5, mime_type="text/plain"), RunKind.API)
    assert (api.source_connection_type, api.file_hash, api.mime_type, api.file_size) == ("API", "h1", "text/plain", 5)
    etl = row_request(FileItem(1, "a", "p/a", provider_file_uuid="u"), RunKind.ETL)
    assert (etl.source_connection_type, etl.file_hash, etl.provider_file_uuid) == ("FILESYSTEM", None, "u")
