import json

import pytest

from unstract_worker_core.backend.history import NewHistory
from unstract_worker_core.errors import SteppedAside
from unstract_worker_core.ledger import OutcomeKind
from unstract_worker_core.statuses import ExecutionStatus, RunKind
from unstract_worker_file_processing.deferred import Parked

ORGANIZATION = "org_files"
EXECUTE = "execute-file"


def test_an_etl_file_is_stored_without_its_result_and_its_history_is_written(make_bench):
    bench = make_bench(RunKind.ETL)
    item = bench.file("etl.txt")
    bench.arm()

    bench.process()

    outcome = bench.outcomes()["etl.txt"]
    assert (outcome.kind, outcome.result, outcome.metadata) == (OutcomeKind.COMPLETED, None, {})
    (written,) = bench.platform.dev("GET", "history?operation=history.create&after=0")[-1:]
    assert written["detail"]["status"] == "COMPLETED"
    # The next listing of the source finds it by the storage's id and path.
    listed = bench.backend.workflows.source_files(ORGANIZATION, bench.workflow_id, bench.execution_id)
    assert item.path not in [file.file_path for file in listed]


@pytest.mark.parametrize(
    ("stored", "expected"),
    [('{"output": {"k": 1}}', {"output": {"k": 1}}), ("{'output': {'k': None}}", {"output": {"k": None}})],
)
def test_a_history_hit_is_used_again_and_not_counted_again(make_bench, stored, expected, scripted):
    bench = make_bench(use_file_history=True)
    bench.executor = scripted()
    item = bench.file("a.txt", f"content of {stored}", is_executed=True)
    history = NewHistory(
        workflow_id=bench.workflow_id, file_hash=item.hash, file_name="earlier.txt", status=ExecutionStatus.COMPLETED,
        is_api=True, result=stored, metadata="{'source_name': 'earlier.txt', 'total_pages_processed': 7}",
    )  # fmt: skip
    bench.backend.history.create(ORGANIZATION, history)
    bench.arm()

    bench.process()

    outcome = bench.outcomes()["a.txt"]
    assert (outcome.kind, outcome.result) == (OutcomeKind.COMPLETED, expected)
    assert (outcome.metadata["source_name"], outcome.metadata["total_pages_processed"]) == ("a.txt", 7)
    assert outcome.metadata["execution_id"] == bench.execution_id
    assert bench.executor.calls == []
    row = bench.backend.history.by_hash(ORGANIZATION, bench.workflow_id, item.hash)
    assert row.execution_count == 1
    assert bench.rows()["a.txt"].status is ExecutionStatus.COMPLETED


def test_an_executors_answer_is_not_dropped_for_a_history_that_came_meanwhile(make_bench, later, answer):
    bench = make_bench(use_file_history=True)
    bench.executor = later()
    item = bench.file("a.txt", "sent by two executions")
    bench.arm()
    with pytest.raises(Parked):
        bench.process()
    history = NewHistory(
        workflow_id=bench.workflow_id, file_hash=item.hash, file_name="other.txt", status=ExecutionStatus.COMPLETED,
        is_api=True, result='"of the other execution"',
    )  # fmt: skip
    bench.backend.history.create(ORGANIZATION, history)
    answer(bench.executor.sent[-1][1], "of this one")

    bench.process()

    assert bench.outcomes()["a.txt"].result == {"output": "of this one"}


def test_without_a_hit_the_file_runs_and_its_history_is_kept(make_bench):
    bench = make_bench(use_file_history=True)
    item = bench.file("a.txt", "no history yet", is_executed=True)
    bench.arm()

    bench.process()

    row = bench.backend.history.by_hash(ORGANIZATION, bench.workflow_id, item.hash)
    assert json.loads(row.result) == bench.outcomes()["a.txt"].result
    assert json.loads(row.metadata)["source_name"] == "a.txt"


def test_a_history_write_without_an_answer_is_looked_up_before_it_is_repeated(make_bench):
    bench = make_bench(use_file_history=True)
    item = bench.file("a.txt", "ambiguous history")
    bench.arm()
    bench.platform.fault("file-history/create", "cut_after", count=1)

    bench.process()

    assert bench.backend.history.by_hash(ORGANIZATION, bench.workflow_id, item.hash).execution_count == 1
    assert bench.outcomes()["a.txt"].kind is OutcomeKind.COMPLETED


def test_a_history_that_fails_does_not_fail_the_file(make_bench):
    bench = make_bench(RunKind.ETL)
    bench.file("a.txt")
    bench.arm()
    bench.platform.fault("file-history/create", "status", status=400)

    bench.process()

    assert bench.outcomes()["a.txt"].kind is OutcomeKind.COMPLETED


def test_a_history_whose_fate_stays_unknown_is_given_up_and_the_file_completes(make_bench):
    bench = make_bench(RunKind.ETL)
    bench.file("a.txt", "history of unknown fate")
    bench.arm()
    bench.platform.fault("file-history/create", "cut_before", count=2)

    bench.process()

    assert bench.outcomes()["a.txt"].kind is OutcomeKind.COMPLETED


def test_a_history_of_the_owner_before_is_not_counted_twice(make_bench):
    bench = make_bench(use_file_history=True)
    item = bench.file("a.txt", "history before the crash")
    bench.arm()
    bench.platform.fault("/status/$", "status", status=503, skip=1)
    with pytest.raises(SteppedAside):
        bench.process()
    bench.platform.heal()

    bench.process()

    assert bench.backend.history.by_hash(ORGANIZATION, bench.workflow_id, item.hash).execution_count == 1
