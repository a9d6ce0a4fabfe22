"""What runs beside the tasks, and how the package presents itself."""

import subprocess
import sys
from importlib import metadata

import pytest
from attrs import evolve

import unstract_worker_callback
from unstract_worker_callback.rescue import Rescue
from unstract_worker_callback.tasks import DEFINITION, services
from unstract_worker_core.config.sections import ChordSettings
from unstract_worker_core.ledger import RunState, RunTask
from unstract_worker_core.ledger.sweeper import Sweeper
from unstract_worker_core.statuses import ExecutionStatus, RunKind, WorkerType


@pytest.fixture
def sweeper(rig):
    (sweeper,) = services(rig.runtime)
    assert isinstance(sweeper, Sweeper)
    return sweeper


def test_a_lost_callback_is_rung_again_and_in_the_end_finalised_here(rig, sweeper):
    prepared = rig.run([rig.ok(1)])

    for lost in range(1, 4):
        rig.due(prepared.id)
        sweeper.tick()
        assert len(rig.rung.of("callback")) == lost
        assert rig.state(prepared.id) is RunState.READY
    rig.due(prepared.id)
    sweeper.tick()

    assert rig.shown(prepared) == ("COMPLETED", 1, 1, 0)
    assert len(rig.ends(prepared)) == 1
    assert rig.counted("rescues", kind="finalise") == 4


def test_a_run_that_was_handed_back_is_rung_for_and_not_before_its_time(rig, sweeper):
    prepared = rig.run([rig.ok(1)])
    rig.fault("status", "update_status", status=500)
    rig.finalise(prepared)
    sweeper.tick()
    assert rig.rung.of("callback") == ()

    rig.due(prepared.id)
    sweeper.tick()

    assert [ring.run_id for ring in rig.rung.of("callback")] == [prepared.id]


@pytest.mark.parametrize("chord", [False, True])
def test_a_late_write_is_corrected_once_and_the_run_is_then_left(rig, sweeper, chord):
    prepared = rig.prepare(RunKind.ETL)
    run_id = prepared.id
    if chord:
        run_id = f"{prepared.id}.callback"
        start = f'{{"execution_id": "{prepared.id}", "organization_id": "{rig.organization}"}}'
        rig.runtime.ledger.runs.accept(
            run_id, task=RunTask.CHORD_CALLBACK, kind=RunKind.ETL, organization_id=rig.organization, start=start,
            state=RunState.READY,
        )  # fmt: skip
    else:
        rig.arm(prepared, [rig.ok(1)])
    from unstract_worker_callback.finalise import finalise_run

    finalise_run(rig.runtime, run_id)
    shown = rig.shown(prepared)
    rig.set_status(prepared, ExecutionStatus.EXECUTING)
    rig.due(run_id)

    sweeper.tick()

    assert rig.shown(prepared) == shown
    assert shown[0] == "COMPLETED"
    assert rig.counted("rescues", kind="late write") == rig.counted("rescues", kind="rechecked") == 1
    assert rig.redis.zscore("uw:due", run_id) is None


def test_a_second_look_that_fails_is_looked_again(rig, sweeper):
    prepared = rig.run([rig.ok(1)])
    rig.finalise(prepared)
    rig.set_status(prepared, ExecutionStatus.EXECUTING)
    rig.fault("status", "v1/workflow-execution", status=503)
    rig.due(prepared.id)

    sweeper.tick()
    assert rig.counted("rescues", kind="failed") == 1
    assert rig.due_in(prepared.id) > 100
    rig.heal()
    rig.due(prepared.id)
    sweeper.tick()

    assert rig.shown(prepared) == ("COMPLETED", 1, 1, 0)


def test_a_terminal_run_costs_one_look(rig, sweeper):
    prepared = rig.run([rig.ok(1)])
    rig.finalise(prepared)
    rig.due(prepared.id)

    sweeper.tick()

    assert rig.counted("rescues", kind="late write") == 0
    assert len(rig.ends(prepared)) == 1


def test_the_rescue_runs_where_it_was_asked_for_and_no_chord_is_served(rig):
    asked = evolve(rig.runtime.settings, rescue_unseen_after=600.0)
    rig.runtime.settings = asked
    _, rescue = services(rig.runtime)
    assert isinstance(rescue, Rescue)
    assert (rescue.age, rescue.interval) == (600.0, 150.0)

    rig.runtime.settings = evolve(asked, chord=ChordSettings(enabled=True))

    assert [type(service) for service in services(rig.runtime)] == [Sweeper]


def test_the_definition_is_of_this_package():
    assert DEFINITION.worker is WorkerType.CALLBACK
    assert DEFINITION.package == "unstract_worker_callback"
    assert DEFINITION.services is services


def test_the_package_tells_its_version_and_nothing_that_is_not_there():
    assert unstract_worker_callback.__version__ == metadata.version("unstract-worker-callback")
    with pytest.raises(AttributeError):
        unstract_worker_callback.nothing  # noqa: B018


def test_importing_the_package_reads_no_environment(tmp_path):
    code = "import unstract_worker_callback as package, sys; print('celery' in sys.modules, package.__all__)"
    done = subprocess.run(
        [sys.executable, "-c", code], env={}, cwd=tmp_path, capture_output=True, text=True, check=True
    )

    assert done.stdout.strip() == "False ['__version__', 'app']"


@pytest.mark.parametrize(
    "code",
    [
        "import unstract_worker_callback as p; p.app",
        "from unstract_worker_callback.__main__ import main; import sys; sys.argv[1:] = ['check']; main()",
    ],
)
def test_without_settings_the_worker_says_what_is_missing(tmp_path, code):
    done = subprocess.run(
        [sys.executable, "-c", code], env={}, cwd=tmp_path, capture_output=True, text=True, check=False
    )

    assert done.returncode == 2
    assert "INTERNAL_SERVICE_API_KEY" in done.stdout + done.stderr


def test_the_app_is_made_once_and_has_the_tasks(tmp_path):
    from unstract_worker_core.testing import environment_for

    code = (
        "import unstract_worker_callback as p; a = p.app; assert p.app is a;"
        "print('unstract_worker.finalise' in a.tasks, 'process_batch_callback_api' in a.tasks)"
    )
    environment = environment_for() | {"WORKER_LOG_FORMAT": "console"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
    )

    assert done.stdout.splitlines()[-1:] == ["True True"], done.stderr
