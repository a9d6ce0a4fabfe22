"""The double's counting and answers, the load's arithmetic, and what is added up from a folder."""

import json

import pytest

from unstract_bench.costs import cpu_seconds, pss_mib
from unstract_bench.double.answers import answer
from unstract_bench.double.counting import Counting, call_of
from unstract_bench.double.process import running_double
from unstract_bench.double.sources import uploaded
from unstract_bench.double.state import Execution, State
from unstract_bench.measures.size import installed_bytes
from unstract_bench.rivals import deal
from unstract_bench.workload import Load
from unstract_devstack.http_calls import call_json

ID = "00000000-0000-4000-8000-000000000001"


def test_a_call_is_counted_by_worker_and_route():
    call = call_of("GET", f"/callback/internal/v1/workflow-execution/{ID}/?file_execution=false")
    assert (call.worker, call.route) == ("callback", "GET v1/workflow-execution/{id}/")
    assert call_of("GET", f"/x/internal/v1/file-history/cache-key/{'a' * 64}/").route.endswith("cache-key/{hash}/")


def test_the_phase_of_the_files_goes_from_the_orchestrators_last_call_to_the_callbacks_first():
    counting = Counting()
    start, file, end = (
        call_of("GET", f"/{name}/internal/x") for name in ("api-deployment", "file-processing", "callback")
    )
    for call, began, ended in ((start, 1.0, 2.0), (start, 3.0, 4.0), (file, 5.0, 7.0), (file, 5.5, 9.0)):
        counting.begins(call, began)
        counting.ends(call, ended)
    assert counting.phase_seconds is None
    counting.begins(end, 10.0)
    counting.begins(end, 11.0)
    assert counting.phase_seconds == 6.0
    assert counting.spans["file-processing"] == (7.0, 9.0)
    assert counting.calls["file-processing"] == {"GET x": 2}


def opened(kind="api") -> State:
    return State({ID: Execution(ID, ID, kind, 3)})


def ask(state, method, path, body=None, query=""):
    return answer(state, method, path, query, json.dumps(body).encode() if body is not None else b"")


def test_rows_are_created_once_and_read_back():
    state = opened()
    files = [{"execution_id": ID, "file_hash": file} for file in uploaded(3, ID, ID).values()]
    _, many = ask(state, "POST", "v1/file-execution/batch-create/", {"file_executions": files})
    _, again = ask(state, "POST", "v1/file-execution/", files[0])
    _, rows = ask(state, "GET", "v1/file-execution/", query=f"execution_id={ID}")
    made = [row["id"] for row in many["successful_creations"]]
    assert [row["id"] for row in rows] == made
    assert again["id"] == made[0]


def test_a_terminal_status_stands():
    state = opened()
    path = f"v1/workflow-execution/{ID}/update_status/"
    assert ask(state, "POST", path, {"status": "COMPLETED"})[1]["status"] == "updated"
    assert ask(state, "POST", path, {"status": "EXECUTING"})[1]["status"] == "skipped"


def test_what_is_not_offered_is_a_404():
    assert ask(opened(), "GET", "v1/nothing/")[0] == 404


def test_the_double_serves_and_counts(tmp_path):
    with running_double(tmp_path) as double:
        double.open(ID, ID, kind="api", files=1, batches=7)
        told = call_json("GET", f"{double.url('bench')}/v1/workflow-execution/{ID}/")
        double.wait_calls("bench", 1)
        call_json(
            "POST", f"{double.url('bench')}/v1/workflow-execution/{ID}/update_status/", payload={"status": "ERROR"}
        )
        assert double.wait_over(ID)["status"] == "ERROR"
        assert told["execution"]["status"] == "PENDING"
        assert double.counts().total == 2
        assert pss_mib(double.process.pid) > 1
        assert cpu_seconds(double.process.pid) >= 0
        double.reset()
        assert double.counts().total == 0


@pytest.mark.parametrize(("flight", "seconds"), [(100, 1.06), (4, 26.5), (1, 106.0), (500, 1.06)])
def test_the_ideal_is_the_backends_own_time(flight, seconds):
    assert Load(in_flight=flight).ideal_seconds == pytest.approx(seconds)


def test_files_are_dealt_once():
    dealt = deal(1000, 100)
    assert {len(batch) for batch in dealt} == {10}
    assert sorted(file for batch in dealt for file in batch) == list(range(1000))


def test_pip_and_compiled_files_are_not_counted(tmp_path):
    for name in ("a.py", "a.pyc", "pip/x.py", "pip-25.dist-info/RECORD", "b/__pycache__/a.py", "b/c.so"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"12345")
    assert sum(installed_bytes(tmp_path)) == 10
