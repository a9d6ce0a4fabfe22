"""The double's counting and answers, the load's arithmetic, and what is added up from a folder."""

import json

import pytest

from unstract_bench.costs import cpu_seconds, peak_mib, pss_mib
from unstract_bench.double.backend import State, answer
from unstract_bench.double.calls import Call, Calls
from unstract_bench.double.client import running_double
from unstract_bench.measures.calls import fixed_calls
from unstract_bench.measures.footprint import installed_bytes
from unstract_bench.workload import Load, uploaded
from unstract_devstack.http_calls import call_json

ID = "00000000-0000-4000-8000-000000000001"
STATUS = f"v1/workflow-execution/{ID}/update_status/"


def called(worker, began, ended, path="x", method="GET") -> Call:
    return Call(worker, method, path, None, began, ended)


def test_a_call_is_counted_by_worker_and_route():
    read = called("callback", 0, 1, f"v1/workflow-execution/{ID}/?file_execution=false")
    history = called("callback", 0, 1, f"v1/file-history/cache-key/{'a' * 64}/", method="POST")
    assert Calls((read, history, read)).routes == {
        ("callback", "GET v1/workflow-execution/{id}/"): 2,
        ("callback", "POST v1/file-history/cache-key/{hash}/"): 1,
    }


def test_the_phase_of_the_files_goes_from_the_orchestrators_last_call_to_the_callbacks_first():
    start, files, end = "api-deployment", "file-processing", "callback"
    times = ((start, 1, 2), (start, 3, 4), (files, 5, 7), (files, 6, 9), (end, 10, 12), (end, 11, 13))
    calls = Calls(tuple(called(*each) for each in times))
    assert calls.phase == 6
    assert calls.span(files) == 2
    assert calls.busy(12) == 1 + 1 + 4 + 2  # calls at the same time count once


@pytest.fixture
def state() -> State:
    opened = State()
    opened.open({"id": ID, "workflow_id": ID, "kind": "api", "files": 3, "batches": 1})
    return opened


def ask(state, method, target, body=None):
    status, text = answer(state, method, target, json.dumps(body).encode() if body is not None else b"")
    return status, json.loads(text)


def test_rows_are_created_once_and_read_back(state):
    files = [{"execution_id": ID, "file_hash": file} for file in uploaded(3, ID, ID).values()]
    _, many = ask(state, "POST", "v1/file-execution/batch-create/", {"file_executions": files})
    _, again = ask(state, "POST", "v1/file-execution/", files[0])
    _, rows = ask(state, "GET", f"v1/file-execution/?execution_id={ID}")
    made = [row["id"] for row in many["successful_creations"]]
    assert [row["id"] for row in rows] == made
    assert again["id"] == made[0]


def test_the_first_terminal_status_is_kept_and_what_is_not_offered_is_a_404(state):
    assert ask(state, "POST", STATUS, {"status": "COMPLETED"})[1]["status"] == "updated"
    assert ask(state, "POST", STATUS, {"status": "EXECUTING"})[1]["status"] == "skipped"
    assert ask(state, "GET", "v1/nothing/")[0] == 404


def test_the_double_serves_and_keeps_the_calls(tmp_path):
    with running_double(tmp_path) as double:
        double.reset(record=True)
        double.open(ID, ID, kind="api", files=1, batches=7)
        read = call_json("GET", f"{double.url('bench')}/v1/workflow-execution/{ID}/?a=b")
        double.wait_calls("bench", 1)
        call_json("POST", f"{double.url('bench')}/{STATUS}", payload={"status": "ERROR"})
        over, calls = double.wait_over(ID), double.calls()
        assert read["execution"]["status"] == "PENDING"
        assert over["status"] == "ERROR"
        assert over["over_at"] == calls.calls[-1].ended
        assert [(call.path, call.body) for call in calls.calls] == [
            (f"v1/workflow-execution/{ID}/?a=b", ""),
            (STATUS, '{"status": "ERROR"}'),
        ]
        assert calls.busy(over["over_at"]) >= 0.004
        assert 1 < pss_mib(double.process.pid) <= peak_mib(double.process.pid)
        assert cpu_seconds(double.process.pid) >= 0
        double.reset()
        assert double.calls().calls == ()


def test_calls_for_a_file_are_not_fixed():
    of_a_file = (
        "POST v1/file-execution/", "POST v1/file-execution/batch-create/", f"POST v1/file-execution/{ID}/status/",
        "POST v1/workflow-manager/execute-file/", f"GET v1/usage/aggregated-token-count/{ID}/",
        "POST v1/file-history/create/",
    )  # fmt: skip
    fixed = ("GET v1/file-execution/", "POST v1/workflow-manager/source-files/", "POST v1/file-history/batch-lookup/")
    calls = [called("callback", 0, 1, route.split()[1], route.split()[0]) for route in (*of_a_file, *fixed, *fixed)]
    assert fixed_calls(Calls(tuple(calls))) == {f"callback: {route}": 2 for route in fixed}


@pytest.mark.parametrize(("flight", "seconds"), [(100, 1.06), (4, 26.5), (1, 106.0), (500, 1.06)])
def test_the_ideal_is_the_backends_own_time(flight, seconds):
    assert Load(in_flight=flight).ideal_seconds == pytest.approx(seconds)


def test_pip_and_compiled_files_are_not_counted(tmp_path):
    for name in ("a.py", "a.pyc", "pip/x.py", "pip-25.dist-info/RECORD", "b/__pycache__/a.pyc", "b/c.so"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"12345")
    assert sum(installed_bytes(tmp_path)) == 10
