"""compose.unstract.yaml over a stand-in of the platform's project, really run: ours in, executions, and back with one open.

The platform's own images are stand-ins that sleep. Its backend is the reference one on this machine, where stand-ins of
its executor, of platform-service and of MinIO are too.
"""

import contextlib
import os
import shutil
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from attrs import frozen
from deployed import gateway_of
from engine import Engine, build
from execution import ORGANIZATION, Trial, running_backend
from unstract_images.running import say
from unstract_images.workers import DOCKER, WORKERS

from unstract_devstack.executor import ExecutorStack, Fault, running_executor, running_object_store
from unstract_devstack.ports import free_port
from unstract_devstack.processes import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

PLATFORM = Path(__file__).parents[1] / "rendered" / "platform"
NETWORK = "unstract-network"
KEY = "a-key-of-its-own"
# As compose.unstract.yaml pins them.
VARIANTS = {"general": "chord", "file-processing": "platform", "callback": "chord"}
SERVICES = {worker.name: f"worker-{worker.name}-v2" for worker in WORKERS}
HEALTH = {"api-deployment": 8085, "callback": 8086, "file-processing": 8087, "general": 8088}
THEIRS = ("docker-compose.yaml", "standins.yaml")
OURS = (*THEIRS, "compose.unstract.yaml")
STANDINS = """\
services:
  redis:
    image: {redis}
    command: ["redis-server", "--protected-mode", "no", "--save", ""]
"""
# What compose sets on the platform's own worker services, beside WORKER_TYPE.
OF_THEIR_SERVICES = {
    "ENVIRONMENT", "CELERY_POOL", "HEALTH_PORT", "API_DEPLOYMENT_METRICS_PORT", "CALLBACK_METRICS_PORT",
    "FILE_PROCESSING_METRICS_PORT",
}  # fmt: skip
OF_THE_EXECUTOR = (
    "PLATFORM_SERVICE_HOST", "PLATFORM_SERVICE_PORT", "WORKFLOW_EXECUTION_DIR_PREFIX", "API_EXECUTION_DIR_PREFIX",
    "WORKFLOW_EXECUTION_FILE_STORAGE_CREDENTIALS", "API_FILE_STORAGE_CREDENTIALS",
)  # fmt: skip
FILE_SECONDS = 2.0
SLEEPER = 'FROM {base}\nENTRYPOINT ["sh", "-c", "exec sleep infinity"]\n'


@frozen
class Project:
    """The platform's compose project in a folder, with our file beside its own."""

    engine: Engine
    folder: Path

    def compose(self, files: tuple[str, ...], *arguments: str, code: int = 0, **variables: str) -> str:
        options = (part for name in files for part in ("--file", name))
        environment = {**os.environ, **self.engine.environment, "PATH": self.engine.path(), **variables}
        done = subprocess.run(
            ("docker-compose", "--progress", "plain", *options, *arguments), cwd=self.folder, env=environment,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, timeout=300,
        )  # fmt: skip
        say(f"    compose {' '.join(arguments)}: {done.returncode}")
        assert done.returncode == code, done.stdout
        return done.stdout

    def up(self, files: tuple[str, ...], *names: str) -> None:
        """Brings these workers up from these files, and waits until they are healthy."""
        self.compose(
            files, "up", "--detach", "--no-deps", "--wait", "--wait-timeout", "120", *(SERVICES[n] for n in names)
        )

    def images(self) -> dict[str, str]:
        """What runs under the names that the platform gives its containers."""
        return {
            name: self.engine.inspect(f"unstract-{service}")[0]["Config"]["Image"] for name, service in SERVICES.items()
        }


@pytest.fixture(scope="module")
def project(engine, folder, base, redis, images) -> Iterator[Project]:
    context = folder / "sleeper"
    context.mkdir()
    (context / "Dockerfile").write_text(SLEEPER.format(base=base), encoding="utf-8")
    sleeper = build(engine, "worker-unified-standin:1", str(context))
    engine.call("tag", sleeper, "docker.io/unstract/worker-unified:latest")
    shutil.copytree(PLATFORM, folder / "unstract")
    docker = folder / "unstract" / "docker"
    shutil.copy(DOCKER / "compose.unstract.yaml", docker)
    (docker / "standins.yaml").write_text(STANDINS.format(redis=redis), encoding="utf-8")
    pins = {
        worker.image_variable: images["-".join(filter(None, (worker.name, VARIANTS.get(worker.name))))]
        for worker in WORKERS
    }
    # Compose reads its pins from the project's own .env.
    lines = [f"{name}={image}\n" for name, image in pins.items()]
    (docker / ".env").write_text("".join(lines), encoding="utf-8")
    (folder / "unstract" / "workers" / ".env").touch()
    made = Project(engine, docker)
    made.compose(THEIRS, "up", "--detach", "--no-deps", "redis")
    try:
        yield made
    finally:
        made.compose(OURS, "down", "--volumes", "--timeout", "10")


@frozen
class Platform:
    """The platform's side on this machine: what is sent through the fleet, and what extracts it."""

    trial: Trial
    executor: ExecutorStack

    def start(self) -> str:
        """Sends the documents, each of which takes the executor a while; the execution's id."""
        self.executor.bill.add(Fault("delay", seconds=FILE_SECONDS), count=len(self.trial.expected.documents))
        return self.trial.start_api()

    def finish(self, execution: str) -> None:
        """Waits for the end, compares every file, and the executor's bill: each file was extracted once."""
        self.trial.finish_api(execution)
        bill = self.executor.bill.per_file(execution)
        assert bill
        assert set(bill.values()) == {1}


@pytest.fixture(scope="module")
def platform(project, folder) -> Iterator[Platform]:
    """The stand-ins of the platform, and its env file with where they are."""
    gateway, port = gateway_of(project.engine, NETWORK), free_port()
    url = f"http://{gateway}:{port}/internal"
    networks = project.engine.inspect("unstract-redis")[0]["NetworkSettings"]["Networks"]
    redis = f"redis://{networks[NETWORK]['IPAddress']}:6379/0"
    with contextlib.ExitStack() as parts:
        store = parts.enter_context(running_object_store(folder / "minio", host=gateway)).variable
        backend = running_backend(folder / "platform", gateway=gateway, port=port, redis=redis, key=KEY, uploads=store)
        trial = parts.enter_context(backend)
        executing = running_executor(
            folder / "stand-ins", broker_url=redis, backend_url=url, api_key=KEY, uploads=store, storage=store,
            host=gateway,
        )  # fmt: skip
        executor = parts.enter_context(executing)
        registry_id = executor.service.export(trial.expected.fields)
        trial.platform.add_tool(trial.documents, "documents-tool", prompt_registry_id=registry_id)
        _write_environment(project, executor, url)
        yield Platform(trial, executor)


def _write_environment(project: Project, executor: ExecutorStack, url: str) -> None:
    """The platform's ../workers/.env, which only names other addresses than its sample; values quoted as there."""
    changed = {
        "INTERNAL_API_BASE_URL": url,
        "INTERNAL_SERVICE_API_KEY": KEY,
        "CELERY_BROKER_BASE_URL": "redis://unstract-redis:6379/0",
        "CELERY_BROKER_USER": "",
        "CELERY_BROKER_PASS": "",
        # No PostgreSQL is there; the batches of today's workers would need it, and there are none.
        "CELERY_RESULT_BACKEND": "redis://unstract-redis:6379/1",
    }
    for name in OF_THE_EXECUTOR:
        value = executor.environment[name]
        changed[name] = f"'{value}'" if value.startswith("{") else value
    lines = (PLATFORM / "workers" / "platform.env").read_text(encoding="utf-8").splitlines()
    kept = [line for line in lines if line.partition("=")[0] not in changed]
    text = "\n".join([*kept, *(f"{name}={value}" for name, value in changed.items())])
    (project.folder.parent / "workers" / ".env").write_text(text, encoding="utf-8")


def test_ours_take_the_place_of_the_platforms_workers(project, platform):
    project.compose(THEIRS, "up", "--detach", "--no-deps", *SERVICES.values())
    assert all("worker-unified" in image for image in project.images().values())
    for service in SERVICES.values():
        project.compose(OURS, "run", "--rm", "--no-deps", service, "check")
    project.compose(
        OURS, "run", "--rm", "--no-deps", SERVICES["file-processing"], "conformance", "--organization", ORGANIZATION
    )
    project.up(OURS, *SERVICES)
    for worker in WORKERS:
        assert worker.distribution in project.images()[worker.name]
        with urllib.request.urlopen(f"http://127.0.0.1:{HEALTH[worker.name]}/health/ready", timeout=10) as answer:
            assert answer.status == 200


@pytest.mark.parametrize("worker", WORKERS, ids=lambda worker: worker.name)
def test_nothing_of_the_platforms_own_workers_is_left(project, worker):
    container = project.engine.inspect(f"unstract-{SERVICES[worker.name]}")[0]
    assert container["Config"]["Cmd"] in (None, [], ["run"])
    assert container["Mounts"] == []
    bound = {
        port: [each["HostPort"] for each in hosts]
        for port, hosts in container["NetworkSettings"]["Ports"].items()
        if hosts
    }
    assert bound == {f"{worker.health_port}/tcp": [str(HEALTH[worker.name])]}
    variables = dict(each.split("=", 1) for each in container["Config"]["Env"])
    assert variables["WORKER_TYPE"] == worker.name
    assert not variables.keys() & OF_THEIR_SERVICES
    # What its env file says of a port is overruled too.
    assert variables[f"{worker.image_variable.removesuffix('_IMAGE')}_HEALTH_PORT"] == str(worker.health_port)


def test_files_are_extracted_by_the_platforms_executor(platform):
    platform.finish(platform.start())


def test_back_while_a_run_is_open(project, platform):
    execution = platform.start()
    assert wait_until(lambda: platform.trial.platform.execution(execution).status == "EXECUTING", seconds=60)
    project.compose(THEIRS, "up", "--detach", "--no-deps", SERVICES["api-deployment"], SERVICES["general"])
    kinds = {name: "worker-unified" in image for name, image in project.images().items()}
    assert kinds == {"api-deployment": True, "general": True, "file-processing": False, "callback": False}
    platform.finish(execution)
    listed = ("exec", "-T", SERVICES["callback"], "unstract-worker", "runs")
    assert wait_until(lambda: execution not in project.compose(OURS, *listed), seconds=60, pause=2)
    project.compose(THEIRS, "up", "--detach", "--no-deps", *SERVICES.values())
    for name, service in SERVICES.items():
        container = project.engine.inspect(f"unstract-{service}")[0]
        assert "worker-unified" in container["Config"]["Image"]
        assert container["Config"]["Cmd"][0] == name
        assert "WORKER_MAX_MEMORY_MB" not in str(container["Config"]["Env"])
