"""What deploy.sh refuses, before it touches anything."""

import fcntl
from pathlib import Path

import pytest


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("LOG_LEVLE=DEBUG", "LOG_LEVLE: is not known; did you mean LOG_LEVEL?"),
        ("INTERNAL_SERVICE_API_KEY=hush-hush", "INTERNAL_SERVICE_API_KEY: is a secret"),
        ("WORKER_LEDGER_REDIS_URL=redis://:hush-hush@redis", "WORKER_LEDGER_REDIS_URL: is a secret"),
        ("LOG_LEVEL='DEBUG'", "LOG_LEVEL: quotes"),
        ("LOG_LEVEL=$LEVEL", "LOG_LEVEL: quotes, $"),
        ("LOG_LEVEL=DEBUG\nLOG_LEVEL=INFO", "LOG_LEVEL: is set twice"),
        ("export LOG_LEVEL=DEBUG", "is not NAME=value"),
        ("CALLBACK_IMAGE=unstract-worker-callback", "CALLBACK_IMAGE: must name an image and its version"),
        ("CALLBACK_IMAGE=unstract-worker-callback:latest", "CALLBACK_IMAGE: must name an image and its version"),
        ("CALLBACK_IMAGE=Not An Image", "CALLBACK_IMAGE: must name an image and its version"),
        ("PLATFORM_NETWORK_EXTERNAL=maybe", "PLATFORM_NETWORK_EXTERNAL: must be true or false"),
    ],
)
def test_a_faulty_environment_file_is_refused(machine, line, expected):
    machine.variables.write_text(f"{machine.variables.read_text()}{line}\n")
    done = machine.deploy("--action", "deploy")
    assert done.returncode == 2
    assert expected in done.stderr
    assert "hush-hush" not in done.stderr
    assert machine.calls() == []


def test_every_fault_is_told_at_once(machine):
    machine.variables.write_text("CELERY_BROKER_BASE_URL=ftp://u:hush-hush@broker\n")
    done = machine.deploy("--action", "deploy", "--dry-run")
    assert done.returncode == 2
    for expected in (
        "INTERNAL_API_BASE_URL: is required",
        "REDIS_HOST: is required",
        "SECRETS_DIR: is required",
        "INTERNAL_SERVICE_API_KEY_FILE: is required",
        "CELERY_BROKER_BASE_URL: must be a URL of redis",
        "CELERY_BROKER_BASE_URL: holds a password",
    ):
        assert expected in done.stderr
    assert "hush-hush" not in done.stderr


@pytest.mark.parametrize("digest", ["@sha256:" + "0f" * 32, ":1.4.0@sha256:" + "0f" * 32])
def test_pins_may_be_digests(machine, digest):
    machine.pin(CALLBACK_IMAGE=f"registry.example:5000/team/unstract-worker-callback{digest}")
    assert machine.deploy("--action", "deploy", "--dry-run").returncode == 0


def test_a_missing_secret_stops_a_deployment_and_shows_in_a_dry_run(machine):
    (machine.folder / "secrets" / "ledger_url").unlink()
    done = machine.deploy("--action", "deploy")
    assert done.returncode == 2
    assert "ledger_url is missing" in done.stderr
    assert machine.changes() == []
    dry = machine.deploy("--action", "deploy", "--dry-run")
    assert dry.returncode == 2
    assert "would stop here: the secret" in dry.stdout
    # What starts nothing needs no secrets.
    assert machine.deploy("--action", "stop", "--dry-run").returncode == 0


def test_a_secret_that_containers_cannot_read_is_told(machine):
    (machine.folder / "secrets" / "redis_acl").chmod(0o600)
    done = machine.deploy("--action", "deploy")
    assert done.returncode == 2
    assert "redis_acl cannot be read inside the containers" in done.stderr


def test_chord_mode_has_a_secret_of_its_own(machine):
    password = machine.folder / "backend_db_password"
    machine.pin(
        CHORD_COMPAT="true",
        CELERY_BACKEND_DB_HOST="unstract-db",
        CELERY_BACKEND_DB_PASSWORD_FILE="/run/secrets/backend_db_password",
        BACKEND_DB_PASSWORD_SECRET=str(password),
        CALLBACK_IMAGE="unstract-worker-callback:1.0.0-chord",
    )
    done = machine.deploy("--action", "deploy", "--workers", "callback")
    assert done.returncode == 2
    assert f"the secret {password} is missing" in done.stderr
    password.write_text("canary-secret")
    password.chmod(0o444)
    assert machine.deploy("--action", "deploy", "--workers", "callback").returncode == 0


def test_two_deployments_do_not_run_at_once(machine):
    (machine.folder / "state").mkdir()
    with Path(machine.folder, "state", "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = machine.deploy("--action", "deploy")
    assert done.returncode == 1
    assert "another deployment" in done.stderr
    assert machine.changes() == []


@pytest.mark.parametrize(
    "arguments",
    [
        ("--action", "explode"),
        ("--action", "deploy", "--workers", "postman"),
        ("--action", "deploy", "--workers", "file=3"),
        ("--action", "scale"),
        ("--action", "scale", "--workers", "file=0"),
        ("--action", "stop", "--workers", ""),
        ("--action", "deploy", "--health-timeout", "nan"),
        ("--action", "deploy", "--health-timeout", "0"),
    ],
)
def test_nonsense_is_refused(machine, arguments):
    assert machine.deploy(*arguments).returncode == 2
    assert machine.calls() == []


@pytest.mark.parametrize(
    "record", ['{"current": {"callback', "[]", '{"current": {"callback": {"tag": "1"}}}', '{"previous": 1}']
)
@pytest.mark.parametrize("action", ["deploy", "rollback"])
def test_a_record_that_cannot_be_read_is_named_before_anything_is_touched(machine, action, record):
    (machine.folder / "state").mkdir()
    (machine.folder / "state" / "releases.json").write_text(record)
    done = machine.deploy("--action", action, "--workers", "callback")
    assert done.returncode == 1
    assert "releases.json cannot be read: move it away" in done.stderr
    dry = machine.deploy("--action", action, "--workers", "callback", "--dry-run")
    assert (dry.returncode, dry.stderr) == (1, done.stderr)
    assert machine.changes() == []


def test_a_state_folder_that_cannot_be_written_is_named_before_anything_is_touched(machine):
    (machine.folder / "file").write_text("no folder")
    done = machine.deploy("--action", "deploy", "--state", str(machine.folder / "file" / "state"))
    assert done.returncode == 1
    assert "cannot be written (Not a directory): name another --state" in done.stderr
    assert machine.changes() == []


@pytest.mark.parametrize("action", ["restart", "rollback"])
def test_without_a_release_there_is_nothing_to_go_back_to(machine, action):
    done = machine.deploy("--action", action, "--workers", "callback")
    assert done.returncode == 1
    assert "deploy" in done.stderr
    assert machine.changes() == []


def test_without_an_engine_it_says_so(machine):
    (machine.folder / "bin" / "docker").write_text("#!/bin/sh\necho 'is the daemon running?' >&2\nexit 1\n")
    done = machine.deploy("--action", "deploy")
    assert done.returncode == 1
    assert "is the daemon running?" in done.stderr
    dry = machine.deploy("--action", "deploy", "--dry-run")
    assert dry.returncode == 1
    assert "would stop here" in dry.stdout
    assert "is the daemon running?" in dry.stdout


@pytest.mark.parametrize("environment", ["production", "staging"])
def test_the_shipped_environment_files_are_valid(machine, environment, docker_folder):
    text = (docker_folder / "environments" / f"{environment}.env").read_text()
    folder = f"SECRETS_DIR={machine.folder}/secrets"
    machine.variables.write_text(text.replace(f"SECRETS_DIR=./secrets/{environment}", folder))
    assert machine.deploy("--action", "deploy", "--dry-run", environment=environment).returncode == 0


def test_the_shipped_development_file_asks_for_the_backends_key(machine, docker_folder):
    text = (docker_folder / "environments" / "development.env").read_text()
    machine.variables.write_text(text)
    done = machine.deploy("--action", "deploy", "--dry-run", environment="development")
    assert done.returncode == 2
    assert "INTERNAL_SERVICE_API_KEY: still holds its placeholder" in done.stderr
    machine.variables.write_text(text.replace("replace-with-the-key-of-your-backend", "a-key"))
    assert machine.deploy("--action", "deploy", "--dry-run", environment="development").returncode == 0


def test_development_builds_before_it_rolls(machine, docker_folder):
    text = (docker_folder / "environments" / "development.env").read_text()
    machine.variables.write_text(text.replace("replace-with-the-key-of-your-backend", "a-key"))
    done = machine.deploy("--action", "deploy", "--workers", "callback", environment="development")
    assert done.returncode == 0, done.stderr
    assert [change.split()[0] for change in machine.changes()] == ["build", "up", "up", "check"]
