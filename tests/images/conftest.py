"""Tests of docker/: everything that needs no container engine, and deploy.sh with one that only records."""

import json
import os
import sys
from pathlib import Path

import pytest
from attrs import define

HERE = Path(__file__).parent
PATH = os.environ["PATH"]
DOCKER = HERE.parents[1] / "docker"
# The tools of docker/ are no distributions; they are run from where they are.
sys.path[:0] = [str(DOCKER / "images"), str(DOCKER / "deploy"), str(HERE.parent / "deploy" / "live")]

VARIABLES = """\
SECRETS_DIR={folder}/secrets
INTERNAL_API_BASE_URL=http://backend:8000/internal
INTERNAL_SERVICE_API_KEY_FILE=/run/secrets/internal_api_key
CELERY_BROKER_BASE_URL=amqp://rabbitmq:5672//
CELERY_BROKER_USER=unstract
CELERY_BROKER_PASS_FILE=/run/secrets/broker_password
REDIS_HOST=redis
WORKER_LEDGER_REDIS_URL_FILE=/run/secrets/ledger_url
"""


@define
class Done:
    """How a command ended, and what it said."""

    returncode: int
    stdout: str
    stderr: str


@define
class Machine:
    """A machine with secrets, an environment file, and a docker that records its calls."""

    folder: Path
    patch: pytest.MonkeyPatch
    captured: pytest.CaptureFixture[str]

    @property
    def variables(self) -> Path:
        return self.folder / "production.env"

    def deploy(self, *arguments: str, environment: str = "production") -> Done:
        """The command behind deploy.sh, in this process; the docker that it starts is a process of its own."""
        from unstract_deploy.__main__ import main

        own = ("--env-file", str(self.variables), "--state", str(self.folder / "state"), "--health-timeout", "2")
        self.patch.setenv("PATH", f"{self.folder / 'bin'}{os.pathsep}{PATH}")
        self.patch.setenv("FAKE_DOCKER", str(self.folder))
        self.captured.readouterr()
        try:
            code = main(("--environment", environment, *own, *arguments))
        except SystemExit as ended:
            code = int(ended.code or 0)
        said = self.captured.readouterr()
        return Done(code, said.out, said.err)

    def behave(self, **images: str) -> None:
        """How containers of an image (by its tag) come out: "healthy" by default, "unhealthy", "silent" or "exits".

        "fails-check" is healthy, and its own `check` finds something; "sickens" is unhealthy after its `check`;
        "crashes-alone" is started again once an older one is stopped; "removes-itself" is gone once it is stopped.
        """
        (self.folder / "behaviour.json").write_text(json.dumps(images))

    def pin(self, **images: str) -> None:
        lines = "".join(f"{name}={image}\n" for name, image in images.items())
        self.variables.write_text(VARIABLES.format(folder=self.folder) + lines)

    def calls(self) -> list[str]:
        path = self.folder / "calls.txt"
        return path.read_text().splitlines() if path.exists() else []

    def changes(self) -> list[str]:
        """What changed something, in order: "up callback", "stop NAME", "rm NAME"."""
        path = self.folder / "changes.txt"
        return path.read_text().splitlines() if path.exists() else []

    def running(self) -> dict[str, list[str]]:
        """The images of the running containers, by service."""
        path = self.folder / "containers.json"
        found: dict[str, list[str]] = {}
        for each in json.loads(path.read_text()) if path.exists() else []:
            if each["State"]["Status"] == "running":
                found.setdefault(each["service"], []).append(each["Config"]["Image"])
        return found


@pytest.fixture
def machine(tmp_path: Path, monkeypatch, capfd) -> Machine:
    made = Machine(tmp_path, monkeypatch, capfd)
    made.pin()
    (tmp_path / "secrets").mkdir()
    for name in ("internal_api_key", "broker_password", "redis_password", "ledger_url", "redis_acl"):
        (tmp_path / "secrets" / name).write_text("canary-secret")
        (tmp_path / "secrets" / name).chmod(0o444)
    (tmp_path / "bin").mkdir()
    fake = tmp_path / "bin" / "docker"
    fake.write_text(f"#!{sys.executable} -SE\n" + (HERE / "fake_docker.py").read_text())
    fake.chmod(0o755)
    return made


@pytest.fixture(scope="session")
def docker_folder() -> Path:
    return DOCKER
