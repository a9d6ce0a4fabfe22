"""Rescue of executions that the ledger never saw."""

import pytest

from unstract_worker_callback.rescue import Rescue
from unstract_worker_core import serialization
from unstract_worker_core.ledger import RunState, RunTask
from unstract_worker_core.messages.start import StartMessage
from unstract_worker_core.statuses import ExecutionStatus, RunKind


@pytest.fixture
def rescue(rig):
    """Every execution is old enough; the ledger has seen the organization."""
    rescue = Rescue(rig.runtime, age=-60.0, interval=0.01)
    rescue._seen.add(rig.organization)
    yield rescue
    rescue.stop()


def started(rig, prepared):
    claim = rig.runtime.ledger.runs.claim(prepared.id, "a test", state=RunState.ACCEPTED)
    return serialization.decode(claim.start, StartMessage)


@pytest.mark.parametrize("status", [ExecutionStatus.PENDING, ExecutionStatus.EXECUTING])
def test_a_pipeline_s_execution_is_started_again_from_its_ids(rig, rescue, status):
    prepared = rig.prepare(RunKind.ETL)
    rig.set_status(prepared, status)

    assert rescue.tick() == 1
    assert rescue.tick() == 0

    (ring,) = rig.rung.of("start")
    assert (ring.run_id, ring.task, ring.kind) == (prepared.id, RunTask.EXECUTION, RunKind.ETL)
    message = started(rig, prepared)
    assert (message.execution_id, message.workflow_id, message.pipeline_id, message.organization_id) == (
        prepared.id, prepared.workflow_id, prepared.pipeline_id, rig.organization,
    )  # fmt: skip
    assert message.use_file_history is True
    assert message.refused is None
    assert rig.counted("rescues", kind="unseen") == 1


def test_an_api_execution_is_ended_because_only_its_message_knew_its_files(rig, rescue):
    prepared = rig.prepare(RunKind.API)

    assert rescue.tick() == 1

    assert "start message lost" in started(rig, prepared).refused


def test_what_the_ledger_knows_is_over_or_too_young_is_left_alone(rig, rescue):
    rig.run([rig.ok(1)])
    done = rig.run([rig.ok(1)])
    rig.finalise(done)
    rig.set_status(rig.prepare(), ExecutionStatus.COMPLETED)
    before = len(rig.requests())
    assert rescue.tick() == 0
    assert len(rig.requests()) == before + 1  # the list, nothing for each execution
    young = rig.prepare()

    assert Rescue(rig.runtime, age=3600.0, interval=1).tick() == 0

    assert rig.state(young.id) is None
    assert rig.rung.of("start") == ()


@pytest.mark.parametrize("waiting", [1, None])
def test_nothing_is_rescued_while_start_messages_wait_or_cannot_be_counted(rig, rescue, waiting):
    prepared = rig.prepare()
    rig.rung.starts = waiting

    assert rescue.tick() == 0
    assert rig.state(prepared.id) is None


def test_organizations_of_the_ledger_are_remembered_when_it_is_wiped(rig, rescue):
    rescue._seen.clear()
    rig.arm(rig.prepare(), [rig.ok(1)])
    rescue.tick()
    lost = rig.prepare(RunKind.ETL)
    rig.redis.flushall()

    assert rescue.tick() == 2
    assert rig.state(lost.id) is RunState.ACCEPTED


def test_trouble_with_one_organization_is_not_that_of_the_others(rig, rescue):
    rescue._seen.add("a b")  # sorts first
    rig.prepare(RunKind.ETL)
    rig.fault("status", "v1/workflow-execution/$", status=403, count=1)

    assert rescue.tick() == 0
    assert rescue.tick() == 1


def test_an_execution_that_cannot_be_read_keeps_no_other_from_its_rescue(rig, rescue):
    first, second = rig.prepare(RunKind.ETL), rig.prepare(RunKind.ETL)
    broken = rig.prepare(RunKind.ETL)
    rig.fault("body", f"workflow-execution/{broken.id}/$", status=200, body='{"execution": {"total_files": NaN}}')

    assert rescue.tick() == 2

    assert {ring.run_id for ring in rig.rung.of("start")} == {first.id, second.id}


def test_a_time_that_cannot_be_read_leaves_the_execution_alone(rig, rescue):
    from unstract_worker_callback.rescue import _age

    assert _age("yesterday") == 0.0
    assert _age("2020-01-01T00:00:00") == 0.0  # without a zone it could be any time
    assert _age("2020-01-01T00:00:00Z") > 0


def test_it_looks_by_itself_and_outlives_every_trouble(rig, rescue, poll, capsys):
    printed = []

    def said(text):
        printed.append(capsys.readouterr().out)
        return text in "".join(printed)

    rig.redis.set("uw:organizations", "not a set")
    rescue._seen = None  # a defect
    rescue.start()
    poll(lambda: said("rescue failed"))
    rig.redis.delete("uw:organizations")
    poll(lambda: said("rescue failed unexpectedly"))
    prepared = rig.prepare(RunKind.ETL)

    rescue._seen = {rig.organization}

    poll(lambda: rig.state(prepared.id) is RunState.ACCEPTED)
    rescue.stop()
    assert not rescue._thread.is_alive()


def test_stopping_what_never_started_is_harmless(rig):
    rescue = Rescue(rig.runtime, age=1.0, interval=1.0)
    rescue.stop()

    assert rescue._thread is None
