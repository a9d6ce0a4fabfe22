import json
from importlib.metadata import EntryPoint, EntryPoints

import pytest
from attrs import evolve
from celery import Celery

from unstract_worker_core.errors import ConfigurationError
from unstract_worker_core.ledger import OutcomeKind
from unstract_worker_file_processing import executor, tasks
from unstract_worker_file_processing.executor import BackendExecutor, load_executor

REFUSED = ("process_file_batch_api", "process_file_batch_resilient")
CHORD = ("process_file_batch", "workflow_manager.workflow_v2.file_execution_tasks.process_file_batch")


class Own:
    """An operator's executor."""

    def __init__(self, runtime):
        self.runtime = runtime

    def execute(self, request, *, timeout_seconds):
        return {"output": "own"}


def own_factory(runtime):
    return Own(runtime)


@pytest.fixture
def app(runtime):
    app = Celery("files", set_as_current=False)
    tasks.register(app, lambda: runtime)
    return app


def call(app, name, *args, **kwargs):
    return app.tasks[name].apply(args=args, kwargs=kwargs, throw=True).result


def letters(bench):
    return [(letter.task, letter.reason) for letter in bench.runtime.ledger.dead_letters.newest()]


def test_a_doorbell_is_answered(app, bench):
    bench.file("a.txt")
    bench.arm()

    call(app, "unstract_worker.process_batch", run_id=bench.execution_id, epoch=bench.epoch, batch=0, schema=1)

    assert bench.outcomes()["a.txt"].kind is OutcomeKind.COMPLETED


@pytest.mark.parametrize("change", [{"schema": 2}, {"run_id": "unknown"}, {"epoch": 7}, {"batch": 5}])
def test_a_doorbell_that_finds_nothing_is_harmless(app, bench, change):
    bench.file("a.txt")
    bench.arm()
    bell = {"run_id": bench.execution_id, "epoch": bench.epoch, "batch": 0, "schema": 1}

    call(app, "unstract_worker.process_batch", **(bell | change))

    assert bench.outcomes() == {}
    assert letters(bench) == []


def test_a_doorbell_that_cannot_be_read_becomes_one_dead_letter(app, bench):
    call(app, "unstract_worker.process_batch", run_id="x")

    assert len(letters(bench)) == 1


@pytest.mark.parametrize("name", REFUSED)
def test_tasks_that_never_worked_are_refused_with_what_to_send(app, bench, name):
    call(app, name, "org", "w", "e")

    assert letters(bench) == [(name, f"{name} never worked: send process_file_batch")]


@pytest.mark.parametrize("name", CHORD)
def test_a_chord_batch_without_chord_mode_is_a_dead_letter_that_says_what_to_do(app, bench, runtime, name):
    runtime.settings = evolve(runtime.settings, chord=evolve(runtime.settings.chord, enabled=False))

    call(app, name, {"files": [["a", {"connector_metadata": {"password": "hunter2hunter2"}}]], "file_data": {}})

    ((task, reason),) = letters(bench)
    assert (task, "CHORD_COMPAT" in reason) == (name, True)
    assert "hunter2" not in json.dumps([letter.body for letter in runtime.ledger.dead_letters.newest()])


@pytest.mark.parametrize("batch", [{"files": [["a", {}], ["b", {}]], "file_data": {}}, {"files": []}, "no object"])
def test_a_chord_batch_that_cannot_be_read_still_has_a_result(app, bench, batch):
    result = call(app, CHORD[0], batch)

    count = len(batch["files"]) if isinstance(batch, dict) else 0
    assert (result["total_files"], result["failed_files"]) == (count, count)
    assert len(result["errors"]) == 1
    assert len(letters(bench)) == 1


@pytest.mark.parametrize("name", CHORD)
def test_a_chord_batch_returns_its_result(app, bench, name):
    item = bench.file("a.txt", row=False)
    files = [
        [
            "a.txt",
            {"file_name": "a.txt", "file_path": item.path, "file_hash": item.hash, "source_connection_type": "API"},
        ]
    ]
    data = {"workflow_id": bench.workflow_id, "execution_id": bench.execution_id, "organization_id": "org_files"}

    result = call(app, name, {"files": files, "file_data": data}, None)

    assert result["successful_files"] == 1


def test_the_backend_executes_unless_another_executor_is_named(runtime):
    assert isinstance(load_executor(runtime).executor, BackendExecutor)
    assert tasks.services(runtime) == ()


def test_an_executor_is_found_by_its_entry_point(runtime, monkeypatch):
    runtime.settings = evolve(runtime.settings, files=evolve(runtime.settings.files, executor="own"))
    point = EntryPoint("own", f"{__name__}:own_factory", executor.GROUP)
    monkeypatch.setattr(EntryPoint, "load", lambda self: own_factory)
    monkeypatch.setattr(executor, "entry_points", lambda *, group: EntryPoints([point]).select(group=group))

    assert isinstance(load_executor(runtime).executor, Own)


@pytest.mark.parametrize(
    ("factory", "problem"),
    [
        (lambda runtime: runtime.no_such_thing, "own cannot be loaded: AttributeError"),
        (lambda runtime: object(), "own has no method execute, nor prepare, send and conclude"),
    ],
)
def test_an_executor_that_cannot_be_made_is_a_fault_at_the_start(runtime, monkeypatch, factory, problem):
    runtime.settings = evolve(runtime.settings, files=evolve(runtime.settings.files, executor="own"))
    monkeypatch.setattr(executor, "executor_factory", lambda name: factory)

    with pytest.raises(ConfigurationError, match=f"WORKER_FILE_EXECUTOR: {problem}"):
        tasks.services(runtime)


def test_an_executor_that_is_not_installed_is_a_fault_at_the_start(runtime):
    runtime.settings = evolve(runtime.settings, files=evolve(runtime.settings.files, executor="not-installed"))

    with pytest.raises(ConfigurationError, match="WORKER_FILE_EXECUTOR: not installed; there are: backend"):
        tasks.services(runtime)
