"""A stopped run is ended by the callback worker alone: the worker of its next step may be gone."""

import json

import pytest

from unstract_worker_callback.tasks import services
from unstract_worker_core import serialization
from unstract_worker_core.backend.files import FileHash, FileStatusUpdate
from unstract_worker_core.fleet import Fleet, Heartbeat
from unstract_worker_core.ledger import BatchClaim, FileItem, Intent, OutcomeKind, RunContext, RunState, RunTask
from unstract_worker_core.messages.start import StartMessage
from unstract_worker_core.runs.outcomes import Executed
from unstract_worker_core.statuses import ExecutionStatus, RunKind

NAMES = ("a.txt", "b.txt", "c.txt", "d.txt")


@pytest.fixture
def sweeper(rig):
    (sweeper,) = services(rig.runtime)
    return sweeper


@pytest.fixture
def aborted(rig, sweeper):
    """Have a run stopped and looked at, as `runs abort` does."""

    def abort(prepared):
        rig.runtime.ledger.runs.request_stop(prepared.id)
        rig.redis.zadd(f"uw:{{{prepared.id}}}:rings", {"0": 0, "1": 0}, xx=True)
        rig.due(prepared.id)
        return sweeper.tick()

    return abort


def accepted(rig, prepared):
    start = StartMessage(rig.organization, prepared.workflow_id, prepared.id, prepared.kind, tags=())
    rig.runtime.ledger.runs.accept(
        prepared.id, task=RunTask.EXECUTION, kind=prepared.kind, organization_id=rig.organization,
        start=serialization.encode(start),
    )  # fmt: skip


def armed(rig, kind=RunKind.API):
    """An execution of two batches with two files each, whose rows exist and that no worker processes."""
    prepared = rig.prepare(kind)
    accepted(rig, prepared)
    items = []
    for number, name in enumerate(NAMES, start=1):
        file = FileHash(file_name=name, file_path=f"in/{name}", source_connection_type="FILESYSTEM")
        row = rig.runtime.backend.files.create(rig.organization, prepared.id, prepared.workflow_id, file)
        items.append(FileItem(number, name, f"in/{name}", hash=f"hash-{number}", file_execution_id=row.id))
    claim = rig.runtime.ledger.runs.claim(prepared.id, "orchestrator", state=RunState.ACCEPTED)
    context = RunContext(prepared.id, rig.organization, prepared.workflow_id, kind, total_files=len(items))
    rig.runtime.ledger.runs.arm(claim, (items[:2], items[2:]), context)
    return prepared


def claimed(rig, prepared, batch=0):
    claim = rig.runtime.ledger.batches.claim(prepared.id, 1, batch, "file worker:1:x")
    assert isinstance(claim, BatchClaim)
    return claim


def dies(rig, claim):
    """The worker with this claim is killed, and its lease lapses."""
    key = f"uw:{{{claim.run_id}}}:leases"
    lease = json.loads(rig.redis.hget(key, str(claim.batch)))
    rig.redis.hset(key, str(claim.batch), json.dumps({**lease, "ends": 1}))


def rows(rig, prepared):
    return {row.file_name: row.status for row in rig.runtime.backend.files.list(rig.organization, prepared.id)}


def outcomes(rig, prepared):
    return {outcome.name: outcome for outcome in rig.runtime.ledger.runs.outcomes(prepared.id)}


@pytest.mark.parametrize("kind", RunKind)
def test_a_run_that_was_not_started_ends_stopped(rig, aborted, kind):
    prepared = rig.prepare(kind)
    accepted(rig, prepared)

    assert aborted(prepared)["stopped"] == 1

    assert rig.state(prepared.id) is RunState.READY
    assert [ring.run_id for ring in rig.rung.of("callback")] == [prepared.id]
    rig.finalise(prepared)
    assert rig.shown(prepared)[0] == "STOPPED"
    assert rig.rung.of("start") == ()


def test_a_run_whose_start_somebody_works_on_is_left_to_him(rig, aborted):
    prepared = rig.prepare()
    accepted(rig, prepared)
    assert rig.runtime.ledger.runs.claim(prepared.id, "orchestrator", state=RunState.ACCEPTED)

    assert aborted(prepared)["stopped"] == 0

    assert rig.state(prepared.id) is RunState.ACCEPTED


def test_files_that_were_not_begun_are_skipped(rig, aborted):
    prepared = armed(rig)

    aborted(prepared)

    assert {outcome.kind for outcome in outcomes(rig, prepared).values()} == {OutcomeKind.SKIPPED}
    assert rows(rig, prepared) == dict.fromkeys(NAMES)  # no status was written
    assert (rig.rung.of("batch"), len(rig.rung.of("callback"))) == ((), 1)
    rig.finalise(prepared)
    assert rig.shown(prepared) == ("STOPPED", 4, 0, 0)
    assert rig.results(prepared) == []
    assert rig.counted("files", outcome="skipped") == 4


def test_what_a_dead_worker_has_done_is_kept_and_what_it_was_at_is_said(rig, aborted):
    prepared = armed(rig)
    for claim, number in ((claimed(rig, prepared), 1), (claimed(rig, prepared, 1), 3)):
        batches = rig.runtime.ledger.batches
        batches.start_file(claim, number)
        if number == 1:
            batches.note_executed(claim, 1, serialization.unstructure(Executed(result={"output": 7}, seconds=2.5)))
            batches.start_file(claim, 0)
        for item in claim.files:
            executing = FileStatusUpdate(status=ExecutionStatus.EXECUTING)
            rig.runtime.backend.files.update_status(rig.organization, item.file_execution_id, executing)
        dies(rig, claim)

    aborted(prepared)

    ended = outcomes(rig, prepared)
    assert {name: outcome.kind for name, outcome in ended.items()} == {
        "a.txt": OutcomeKind.COMPLETED, "b.txt": OutcomeKind.SKIPPED,
        "c.txt": OutcomeKind.ERROR, "d.txt": OutcomeKind.SKIPPED,
    }  # fmt: skip
    assert "the worker that executed this file had died" in ended["c.txt"].error
    assert rows(rig, prepared) == {"a.txt": "COMPLETED", "b.txt": "PENDING", "c.txt": "ERROR", "d.txt": "PENDING"}
    rig.finalise(prepared)
    assert rig.shown(prepared) == ("STOPPED", 4, 1, 1)
    kept = {item["file"]: item for item in rig.results(prepared)}
    assert kept["a.txt"]["result"] == {"output": 7}
    assert kept["a.txt"]["metadata"]["source_hash"] == "hash-1"


def test_a_batch_that_a_worker_has_is_left_to_it(rig, aborted):
    prepared = armed(rig)
    claim = claimed(rig, prepared)

    aborted(prepared)

    assert set(outcomes(rig, prepared)) == {"c.txt", "d.txt"}
    assert rig.state(prepared.id) is RunState.ARMED
    for item in claim.files:
        outcome = serialization.encode(rig.ok(item.number, item.name))
        rig.runtime.ledger.batches.record_all(claim, {item.number: outcome})
    assert rig.runtime.ledger.batches.complete(claim) is RunState.READY
    rig.finalise(prepared)
    assert rig.shown(prepared) == ("STOPPED", 4, 2, 0)


def test_a_file_that_an_executor_has_waits_only_while_somebody_can_take_its_answer(rig, aborted):
    prepared = armed(rig)
    requests, claim = rig.runtime.ledger.requests, claimed(rig, prepared)
    assert requests.intend(claim, 1, "nonce", wait_seconds=3600, max_charges=3) is Intent.SEND
    requests.published(claim, 1, "nonce", wait_seconds=3600)
    assert requests.park(claim, 1, delay_seconds=60) is None
    fleet = Fleet(rig.redis)
    fleet.beat("files", _heartbeat("file_processing"))

    aborted(prepared)
    assert set(outcomes(rig, prepared)) == {"c.txt", "d.txt"}
    assert [ring.batch for ring in rig.rung.of("batch")] == [0]

    fleet.leave("files")
    fleet.beat("callback", _heartbeat("callback"))
    aborted(prepared)
    assert "while the executor had the file" in outcomes(rig, prepared)["a.txt"].error
    assert rig.state(prepared.id) is RunState.READY


def test_a_backend_that_is_away_keeps_the_batch_and_charges_nothing(rig, aborted):
    prepared = armed(rig)
    dies(rig, claimed(rig, prepared))
    rig.fault("status", "batch-status-update|/status/", status=503)

    assert aborted(prepared)["failed"] == 1
    assert "a.txt" not in outcomes(rig, prepared)
    rig.heal()
    aborted(prepared)

    assert set(outcomes(rig, prepared)) == set(NAMES)
    assert rig.redis.hgetall(f"uw:{{{prepared.id}}}:charges") == {}


def _heartbeat(worker):
    return Heartbeat(
        instance=worker, worker=worker, version="1", core_version="1", hostname=worker, pid=1, slots=1, running=0,
        idle_seconds=0.0, backend="closed",
    )  # fmt: skip
