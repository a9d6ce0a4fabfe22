"""docker/compose.unstract.yaml over the platform's project, merged by compose itself: nothing of its workers is left."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from unstract_images.workers import DOCKER, WORKERS

COMPOSE = str(Path(sys.executable).parent / "docker-compose")
PLATFORM = Path(__file__).parent / "platform"
# The ports of this machine that the platform publishes its workers' health on.
PUBLISHED = {"api-deployment": "8085", "callback": "8086", "file-processing": "8087", "general": "8088"}
# What each image installs besides.
VARIANT = {"callback": "chord", "general": "chord", "file-processing": "platform"}
WORKER = pytest.mark.parametrize("worker", WORKERS, ids=lambda worker: worker.name)


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    """The platform's project with our file beside its own, as MOVING.md says."""
    folder = tmp_path_factory.mktemp("unstract")
    shutil.copytree(PLATFORM, folder, dirs_exist_ok=True)
    shutil.copy(folder / "workers" / "platform.env", folder / "workers" / ".env")
    shutil.copy(DOCKER / "compose.unstract.yaml", folder / "docker")
    return folder / "docker"


def merged(project: Path, *files: str, **variables: str) -> dict:
    options = (part for name in files for part in ("--file", name))
    command = (COMPOSE, *options, "config", "--format", "json")
    environment = {"PATH": os.environ["PATH"], **variables}
    done = subprocess.run(
        command, cwd=project, env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["services"]


@pytest.fixture(scope="module")
def theirs(project) -> dict:
    return merged(project, "docker-compose.yaml")


@pytest.fixture(scope="module")
def ours(project) -> dict:
    return merged(project, "docker-compose.yaml", "compose.unstract.yaml")


def service(worker) -> str:
    return f"worker-{worker.name}-v2"


@WORKER
def test_nothing_of_the_platforms_worker_is_left(project, theirs, ours, worker):
    before, after = theirs[service(worker)], ours[service(worker)]
    assert before["command"]
    assert before["volumes"]
    for name in ("command", "entrypoint", "volumes", "build"):
        assert not after.get(name), name
    own = yaml.safe_load((project / "docker-compose.yaml").read_text())["services"][service(worker)]["environment"]
    left = {line.partition("=")[0] for line in own} & set(after["environment"])
    assert left <= {"WORKER_TYPE"}
    assert after["environment"]["WORKER_TYPE"] == worker.name


@WORKER
def test_our_image_is_in_its_place_on_its_network_with_its_env_files(theirs, ours, worker):
    before, after = theirs[service(worker)], ours[service(worker)]
    assert f"/{worker.distribution}:" in after["image"]
    assert after["image"].rpartition("-")[2] == VARIANT.get(worker.name, after["image"].rpartition("-")[2])
    for name in ("container_name", "networks", "depends_on", "labels"):
        assert after[name] == before[name]
    for name in ("INTERNAL_API_BASE_URL", "CELERY_BROKER_PASS", "REDIS_HOST", "API_FILE_STORAGE_CREDENTIALS"):
        assert after["environment"][name] == before["environment"][name]


@WORKER
def test_health_is_where_the_platforms_was_and_on_this_machine_alone(ours, worker):
    (port,) = ours[service(worker)]["ports"]
    assert (port["host_ip"], port["published"], port["target"]) == (
        "127.0.0.1", PUBLISHED[worker.name], worker.health_port,
    )  # fmt: skip
    variable = f"{worker.name.upper().replace('-', '_')}_HEALTH_PORT"
    # The platform's own env file names another one.
    assert ours[service(worker)]["environment"][variable] == str(worker.health_port)


def test_the_queues_are_those_of_the_platforms_workers(ours):
    queues = {
        worker.name: ours[service(worker)]["environment"][f"CELERY_QUEUES_{worker.name.upper().replace('-', '_')}"]
        for worker in WORKERS
    }
    assert queues == {
        "api-deployment": "celery_api_deployments",
        # Webhooks stay with the platform's notification worker, which goes on.
        "general": "celery",
        "file-processing": "file_processing,api_file_processing,file_processing_priority",
        "callback": "file_processing_callback,api_file_processing_callback",
    }


def test_all_other_services_are_as_they_were(theirs, ours):
    replaced = {service(worker) for worker in WORKERS}
    assert set(ours) == set(theirs)
    assert {name: each for name, each in ours.items() if name not in replaced} == {
        name: each for name, each in theirs.items() if name not in replaced
    }


def test_files_are_executed_by_the_platforms_executor(project, ours):
    executors = {name: each.get("environment", {}).get("WORKER_FILE_EXECUTOR") for name, each in ours.items()}
    assert {name: value for name, value in executors.items() if value} == {"worker-file-processing-v2": "platform"}
    other = merged(project, "docker-compose.yaml", "compose.unstract.yaml", WORKER_FILE_EXECUTOR="backend")
    assert other["worker-file-processing-v2"]["environment"]["WORKER_FILE_EXECUTOR"] == "backend"


def test_chords_are_served_until_that_is_switched_off(project, ours):
    assert [name for name, each in ours.items() if each.get("environment", {}).get("CHORD_COMPAT") == "true"] == [
        "worker-callback-v2",
        "worker-file-processing-v2",
        "worker-general-v2",
    ]
    off = merged(project, "docker-compose.yaml", "compose.unstract.yaml", CHORD_COMPAT="false")
    assert off["worker-callback-v2"]["environment"]["CHORD_COMPAT"] == "false"
    assert off["worker-general-v2"]["environment"]["CHORD_COMPAT"] == "true"  # it cleans the result table by it


@WORKER
def test_containers_are_closed_and_drain(ours, worker):
    made = ours[service(worker)]
    production = yaml.safe_load((DOCKER / "compose.production.yaml").read_text(encoding="utf-8"))["services"]
    like = production[worker.name]
    assert (made["read_only"], made["cap_drop"]) == (True, ["ALL"])
    assert made["security_opt"] == ["no-new-privileges:true"]
    assert made["stop_grace_period"] == "1m15s"
    assert made["healthcheck"]["test"] == like["healthcheck"]["test"]
    assert made["environment"]["WORKER_MAX_MEMORY_MB"] == like["environment"]["WORKER_MAX_MEMORY_MB"]


@WORKER
def test_the_worker_takes_what_the_platforms_env_files_say(ours, worker):
    """`check` reads the variables as `run` does; that none of the servers is here does not matter."""
    environment = {name: value for name, value in ours[service(worker)]["environment"].items() if value is not None}
    entry = [sys.executable, "-m", worker.distribution.replace("-", "_"), "check"]
    done = subprocess.run(entry, env=environment, capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 1, done.stderr
    assert re.match(r"ok +configuration\n", done.stdout), done.stdout
