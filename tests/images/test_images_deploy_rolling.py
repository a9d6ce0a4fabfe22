"""deploy.sh with a docker that only records: what it does, in which order, and what is left if something fails."""

import json
import os
import subprocess
import time
from types import SimpleNamespace

import pytest

WORKERS = ("callback", "file-processing", "general", "api-deployment")


@pytest.fixture
def defaults(docker_folder):
    """The pins in the production compose file, whatever their versions are by now."""
    from unstract_deploy.environment import default_pins

    pins = default_pins(docker_folder / "compose.production.yaml")
    return {worker: pins[f"{worker.upper().replace('-', '_')}_IMAGE"] for worker in WORKERS}


def test_first_deploy_starts_redis_and_then_each_worker_from_the_end_of_the_line(machine, defaults):
    done = machine.deploy("--action", "deploy")
    assert done.returncode == 0, done.stderr
    started = [change.split()[1] for change in machine.changes() if change.startswith("up ")]
    assert started == ["redis", *WORKERS]
    assert {worker: images for worker, images in machine.running().items() if worker != "redis"} == {
        worker: [image] for worker, image in defaults.items()
    }
    assert "canary-secret" not in done.stdout + done.stderr


def test_a_new_container_is_ready_and_checked_before_the_old_one_drains(machine):
    machine.deploy("--action", "deploy", "--workers", "callback")
    machine.pin(CALLBACK_IMAGE="unstract-worker-callback:2.0")
    before = len(machine.changes())
    assert machine.deploy("--action", "deploy", "--workers", "callback").returncode == 0
    up, check, stop, removed = machine.changes()[before:]
    assert up == "up callback unstract-worker-callback:2.0"
    assert check == "check callback unstract-worker-callback:2.0"
    assert stop.startswith("stop callback unstract-worker-callback:")
    assert not stop.endswith(":2.0")
    assert removed == stop.replace("stop", "rm")
    assert machine.running()["callback"] == ["unstract-worker-callback:2.0"]


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("unhealthy", "is not healthy after 2 s (unhealthy, 503: consumer: not connected to the broker)"),
        ("silent", "is not healthy after 2 s (starting)"),
        ("exits", "ended with exit code 3"),
    ],
)
def test_a_worker_that_does_not_get_healthy_takes_everything_back(machine, how, reason):
    machine.deploy("--action", "deploy", "--workers", "callback,file")
    old = machine.running()
    machine.behave(**{"2.0": how})
    machine.pin(
        CALLBACK_IMAGE="unstract-worker-callback:1.9", FILE_PROCESSING_IMAGE="unstract-worker-file-processing:2.0"
    )
    done = machine.deploy("--action", "deploy", "--workers", "callback,file")
    assert done.returncode == 1
    assert reason in done.stderr
    assert "the worker's last words" in done.stderr
    assert "callback: rolling back" in done.stdout
    assert machine.running() == old
    # What is remembered is what runs: a restart brings up the old pins, not those that failed.
    assert machine.deploy("--action", "restart", "--workers", "callback,file").returncode == 0
    assert machine.running() == old


def test_a_worker_that_fails_its_own_check_replaces_nothing(machine):
    machine.deploy("--action", "deploy", "--workers", "callback,file")
    old = machine.running()
    machine.behave(**{"2.0": "fails-check"})
    machine.pin(FILE_PROCESSING_IMAGE="unstract-worker-file-processing:2.0")
    before = len(machine.changes())
    done = machine.deploy("--action", "deploy", "--workers", "file")
    assert done.returncode == 1
    assert "the API key is refused" in done.stderr
    assert [change.split()[0] for change in machine.changes()[before:]] == ["up", "check", "rm"]
    assert machine.running() == old
    # Where the backend is away and the worker must still be replaced.
    assert machine.deploy("--action", "deploy", "--workers", "file", "--skip-check").returncode == 0
    assert machine.running()["file-processing"] == ["unstract-worker-file-processing:2.0"]


def test_a_worker_that_gets_unhealthy_after_its_check_replaces_nothing(machine):
    machine.deploy("--action", "deploy", "--workers", "callback")
    old = machine.running()
    machine.behave(**{"2.0": "sickens"})
    machine.pin(CALLBACK_IMAGE="unstract-worker-callback:2.0")
    before = len(machine.changes())
    done = machine.deploy("--action", "deploy", "--workers", "callback")
    assert done.returncode == 1
    assert "is not healthy after 2 s (unhealthy, 503: ledger: no answer)" in done.stderr
    assert [change.split()[0] for change in machine.changes()[before:]] == ["up", "check", "rm"]
    assert machine.running() == old


def test_a_worker_that_crashes_once_the_old_one_is_gone_takes_everything_back(machine):
    machine.deploy("--action", "deploy", "--workers", "callback,file")
    old = machine.running()
    machine.behave(**{"2.0": "crashes-alone"})
    machine.pin(
        CALLBACK_IMAGE="unstract-worker-callback:1.9", FILE_PROCESSING_IMAGE="unstract-worker-file-processing:2.0"
    )
    done = machine.deploy("--action", "deploy", "--workers", "callback,file")
    assert done.returncode == 1
    assert "ended and was started again" in done.stderr
    assert machine.running() == old


def test_a_container_that_is_removed_while_it_drains_does_not_stop_the_deployment(machine):
    machine.deploy("--action", "deploy", "--workers", "callback")
    machine.behave(**{machine.running()["callback"][0].rpartition(":")[2]: "removes-itself"})
    machine.pin(CALLBACK_IMAGE="unstract-worker-callback:2.0")
    done = machine.deploy("--action", "deploy", "--workers", "callback")
    assert (done.returncode, done.stderr) == (0, "")
    assert "removed meanwhile" in done.stdout
    assert machine.running()["callback"] == ["unstract-worker-callback:2.0"]


def test_an_interrupted_deployment_leaves_no_container_too_many_and_remembers_what_it_replaced(machine, monkeypatch):
    machine.deploy("--action", "deploy", "--workers", "callback,file")
    old = machine.running()
    machine.behave(**{"2.0": "silent"})
    machine.pin(
        CALLBACK_IMAGE="unstract-worker-callback:1.9", FILE_PROCESSING_IMAGE="unstract-worker-file-processing:2.0"
    )

    def interrupt(seconds):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:  # not time's own: subprocess sleeps, too
        clock = SimpleNamespace(monotonic=time.monotonic, sleep=interrupt)
        patch.setattr("unstract_deploy.rollout.time", clock)
        done = machine.deploy("--action", "deploy", "--workers", "callback,file")
    assert (done.returncode, done.stderr) == (130, "deploy interrupted: --action status shows what runs\n")
    assert "interrupted; replaced: callback; as before: file-processing" in done.stdout
    now = {**old, "callback": ["unstract-worker-callback:1.9"]}
    assert machine.running() == now
    assert machine.deploy("--action", "restart", "--workers", "callback,file").returncode == 0
    assert machine.running() == now


@pytest.mark.parametrize("how", ["silent", "unhealthy"])
def test_a_redis_that_does_not_get_healthy_ends_the_deployment_in_time(machine, how):
    machine.behave(broken=how)
    machine.pin(REDIS_IMAGE="redis:broken")
    done = machine.deploy("--action", "deploy")
    assert done.returncode == 1
    assert "redis-1 is not healthy after 2 s" in done.stderr
    assert "the worker's last words" in done.stderr
    assert [change.split()[:2] for change in machine.changes()] == [["up", "redis"]]


def test_a_wait_that_lasts_says_what_it_waits_for(machine, monkeypatch):
    monkeypatch.setattr("unstract_deploy.rollout.PROGRESS_SECONDS", 0.2)
    machine.behave(**{"2.0": "unhealthy"})
    machine.pin(CALLBACK_IMAGE="unstract-worker-callback:2.0")
    done = machine.deploy("--action", "deploy", "--workers", "callback")
    assert "of 2 s: unhealthy, 503: consumer: not connected to the broker" in done.stdout


def test_a_command_of_the_engine_that_takes_long_is_seen_and_bounded(monkeypatch, capsys):
    from unstract_deploy import DeployFailed, engine

    monkeypatch.setattr(engine, "PROGRESS_SECONDS", 0.1)
    with pytest.raises(DeployFailed, match=r"`sleep 60` did not end within 0\.5 s"):
        engine.run("sleep", "60", seconds=0.5)
    assert "still running after 0 s: sleep 60" in capsys.readouterr().out


def test_a_redis_that_was_restarted_long_ago_does_not_stop_a_deployment(machine):
    machine.deploy("--action", "deploy", "--workers", "callback")
    containers = json.loads((machine.folder / "containers.json").read_text())
    containers[0]["RestartCount"] = 3
    (machine.folder / "containers.json").write_text(json.dumps(containers))
    assert machine.deploy("--action", "deploy", "--workers", "callback").returncode == 0


def test_a_rollback_starts_workers_with_the_variables_they_had(machine):
    machine.deploy("--action", "deploy", "--workers", "general")
    machine.pin(GENERAL_IMAGE="unstract-worker-general:2.0", LOG_LEVEL="DEBUG")
    machine.deploy("--action", "deploy", "--workers", "general")
    done = machine.deploy("--action", "rollback", "--workers", "general")
    assert done.returncode == 0, done.stderr
    last = [call for call in machine.calls() if " up " in call][-1]
    kept = next(word for word in last.split() if word.endswith(".env"))
    assert "LOG_LEVEL" not in (machine.folder / "state" / kept).read_text()
    assert machine.running()["general"] != ["unstract-worker-general:2.0"]
    # And again: back to the first one.
    assert machine.deploy("--action", "rollback", "--workers", "general").returncode == 0
    assert machine.running()["general"] == ["unstract-worker-general:2.0"]


def test_every_replica_is_rolled(machine):
    machine.deploy("--action", "deploy", "--workers", "file")
    assert machine.deploy("--action", "scale", "--workers", "file=3").returncode == 0
    assert len(machine.running()["file-processing"]) == 3
    machine.pin(FILE_PROCESSING_IMAGE="unstract-worker-file-processing:2.0")
    assert machine.deploy("--action", "deploy", "--workers", "file").returncode == 0
    assert machine.running()["file-processing"] == ["unstract-worker-file-processing:2.0"] * 3
    assert machine.deploy("--action", "scale", "--workers", "file=1").returncode == 0
    assert len(machine.running()["file-processing"]) == 1


def test_a_failing_first_deploy_leaves_no_broken_container(machine):
    machine.behave(**{"2.0": "exits"})
    machine.pin(CALLBACK_IMAGE="unstract-worker-callback:2.0")
    assert machine.deploy("--action", "deploy", "--workers", "callback").returncode == 1
    assert machine.running() == {"redis": machine.running()["redis"]}


def test_stop_drains_from_the_start_of_the_line_and_deploy_clears_up_after_it(machine):
    machine.deploy("--action", "deploy")
    before = len(machine.changes())
    assert machine.deploy("--action", "stop").returncode == 0
    assert [change.split()[:2] for change in machine.changes()[before:]] == [
        ["stop", service] for service in (*reversed(WORKERS), "redis")
    ]
    assert machine.deploy("--action", "status").returncode == 1
    assert machine.deploy("--action", "deploy", "--workers", "callback").returncode == 0
    assert len(machine.running()["callback"]) == 1


def test_status_and_logs(machine):
    machine.deploy("--action", "deploy")
    done = machine.deploy("--action", "status")
    assert done.returncode == 0
    assert all(worker in done.stdout for worker in WORKERS)
    assert "a line of its log" in machine.deploy("--action", "logs", "--workers", "file").stdout


def test_dry_run_changes_nothing(machine, defaults):
    done = machine.deploy("--action", "deploy", "--dry-run")
    assert done.returncode == 0, done.stderr
    assert all(f"{worker}: nothing -> {image}" in done.stdout for worker, image in defaults.items())
    assert machine.changes() == []
    assert not (machine.folder / "state").exists()


def test_the_script_runs_it_from_anywhere(machine, docker_folder, tmp_path):
    done = subprocess.run(
        (
            *(str(docker_folder / "deploy.sh"), "--environment", "production", "--action", "deploy", "--dry-run"),
            *("--env-file", str(machine.variables)),
        ),
        cwd=tmp_path,
        env={"PATH": f"{machine.folder / 'bin'}{os.pathsep}{os.environ['PATH']}", "FAKE_DOCKER": str(machine.folder)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "dry run, nothing was touched" in done.stdout
