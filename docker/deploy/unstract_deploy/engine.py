"""The container engine, by its command lines: docker, or podman with docker-compose on its socket."""

import json
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unstract_deploy.failures import DeployFailed
from unstract_deploy.fleet import Environment

__all__ = ["Container", "Engine", "find_engine"]

QUICK_SECONDS = 60
# Pulling an image, or draining a worker.
LONG_SECONDS = 600
PROJECT_LABEL = "com.docker.compose.project"
SERVICE_LABEL = "com.docker.compose.service"


@dataclass(frozen=True, slots=True)
class Container:
    """A container of a service. `health` is "" where it has no check."""

    id: str
    name: str
    image: str
    state: str
    health: str
    exit_code: int
    restarts: int
    created: str

    @property
    def running(self) -> bool:
        """Whether it is up, healthy or not."""
        return self.state in ("running", "restarting", "paused")


@dataclass(frozen=True, slots=True)
class Engine:
    """The commands, for one environment."""

    engine: tuple[str, ...]
    compose_command: tuple[str, ...]
    environment: Environment

    def compose(self, arguments: Sequence[str], *, variables: Path, pins: Mapping[str, str]) -> None:
        """A compose command, with these variables and pins."""
        command = (
            *(*self.compose_command, "--project-name", self.environment.project, "--progress", "quiet"),
            *("--env-file", str(variables), "--file", str(self.environment.compose_file), *arguments),
        )
        _run(command, seconds=LONG_SECONDS, environment={**pins, "WORKERS_ENV_FILE": str(variables)})

    def containers(self, service: str) -> tuple[Container, ...]:
        """All containers of a service, the oldest first."""
        told = _run(
            (
                *(*self.engine, "ps", "--all", "--quiet", "--no-trunc"),
                *("--filter", f"label={PROJECT_LABEL}={self.environment.project}"),
                *("--filter", f"label={SERVICE_LABEL}={service}"),
            ),
            seconds=QUICK_SECONDS,
        ).split()
        return self.inspected(told) if told else ()

    def inspected(self, ids: Sequence[str]) -> tuple[Container, ...]:
        """These containers, the oldest first."""
        told = json.loads(_run((*self.engine, "inspect", *ids), seconds=QUICK_SECONDS))
        return tuple(sorted((_container(each) for each in told), key=lambda each: each.created))

    def stop(self, ids: Sequence[str]) -> None:
        """Drain containers: SIGTERM, and the end once their grace period is over."""
        _run((*self.engine, "stop", *ids), seconds=LONG_SECONDS)

    def remove(self, identifier: str) -> None:
        """Remove a container, at once if it still runs."""
        _run((*self.engine, "rm", "--force", identifier), seconds=QUICK_SECONDS)

    def log_tail(self, identifier: str, lines: int = 15) -> str:
        """The last lines that a container wrote."""
        return _run((*self.engine, "logs", "--tail", str(lines), identifier), seconds=QUICK_SECONDS, both=True).strip()

    def follow_logs(self, services: Sequence[str], *, lines: int, follow: bool, variables: Path) -> int:
        """Shows the log of services on this terminal; the command's exit code."""
        command = (
            *(*self.compose_command, "--project-name", self.environment.project, "--env-file", str(variables)),
            *("--file", str(self.environment.compose_file), "logs", "--tail", str(lines)),
            *(("--follow",) if follow else ()),
            *services,
        )
        return subprocess.call(command, env={**os.environ, "WORKERS_ENV_FILE": str(variables)})


def find_engine(environment: Environment) -> Engine:
    """The engine of this machine. Raises DeployFailed if none answers."""
    engine = ("docker",) if shutil.which("docker") else ("podman",) if shutil.which("podman") else None
    if engine is None:
        raise DeployFailed("neither docker nor podman is installed")
    _run((*engine, "ps", "--quiet"), seconds=QUICK_SECONDS)
    for compose in ((*engine, "compose"), ("docker-compose",)):
        if compose[0] == "docker-compose" and not shutil.which("docker-compose"):
            continue
        if compose[0] == "podman":  # its compose only calls another one
            continue
        try:
            _run((*compose, "version"), seconds=QUICK_SECONDS)
        except DeployFailed:
            continue
        return Engine(engine, compose, environment)
    raise DeployFailed("there is no compose: neither `docker compose` nor docker-compose (with DOCKER_HOST for podman)")


def _container(told: Mapping[str, Any]) -> Container:
    state = told["State"]
    health = state.get("Health") or state.get("Healthcheck") or {}
    return Container(
        id=told["Id"],
        name=told["Name"].lstrip("/"),
        image=told["Config"]["Image"],
        state=state["Status"],
        health=health.get("Status") or "",
        exit_code=state["ExitCode"],
        restarts=told.get("RestartCount") or 0,
        created=told["Created"],
    )


def _run(
    command: Sequence[str], *, seconds: int, environment: Mapping[str, str] | None = None, both: bool = False
) -> str:
    """What a command printed. Raises DeployFailed with what it said."""
    try:
        done = subprocess.run(
            list(command),
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT if both else subprocess.PIPE,
            text=True,
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise DeployFailed(f"`{' '.join(command)}` did not end within {seconds} s") from None
    if done.returncode:
        said = (done.stderr or done.stdout or "").strip()
        raise DeployFailed(f"`{' '.join(command)}` failed ({done.returncode}): {said}")
    return done.stdout
