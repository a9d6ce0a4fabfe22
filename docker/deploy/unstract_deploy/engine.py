"""The container engine, by its command lines: docker, or podman with docker-compose on its socket."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

from unstract_deploy import DeployFailed
from unstract_deploy.environment import compose_file_of

__all__ = ["LONG_SECONDS", "PROGRESS_SECONDS", "Container", "Engine", "find_engine", "run", "say"]

QUICK_SECONDS = 60
# Pulling or building an image; draining a worker, which its own grace period bounds as well.
LONG_SECONDS = 600
PROGRESS_SECONDS = 10


class Container(NamedTuple):
    """A container of a service. `health` is "" where it has no check; `probe` is the output of its last check."""

    id: str
    name: str
    image: str
    state: str
    exit_code: int
    restarts: int
    health: str
    probe: str

    @property
    def running(self) -> bool:
        """Whether it is up, healthy or not."""
        return self.state in ("running", "restarting", "paused")


class Engine(NamedTuple):
    """The commands for one environment. All raise DeployFailed."""

    program: str
    compose_program: tuple[str, ...]
    environment: str

    def call(self, *arguments: str, seconds: float = QUICK_SECONDS, both: bool = False) -> str:
        """The output of a command of the engine; with `both`, of its standard error too."""
        return run(self.program, *arguments, seconds=seconds, both=both)

    def compose(self, *arguments: str, variables: str, pins: Mapping[str, str]) -> None:
        """A compose command with the variables of this file, and these pins."""
        command = (*self._compose(variables), "--progress", "quiet", *arguments)
        run(*command, seconds=LONG_SECONDS, variables={**pins, "WORKERS_ENV_FILE": variables})

    def show_logs(self, *arguments: str, variables: str) -> None:
        """Shows logs on this terminal."""
        environment = {**os.environ, "WORKERS_ENV_FILE": variables}
        if code := subprocess.call((*self._compose(variables), "logs", *arguments), env=environment):
            raise DeployFailed(f"the logs could not be shown ({code})")

    def containers(self, service: str) -> dict[str, Container]:
        """All containers of a service by their ids, the oldest first."""
        labels = (f"project=unstract-workers-{self.environment}", f"service={service}")
        filters = (part for label in labels for part in ("--filter", f"label=com.docker.compose.{label}"))
        ids = self.call("ps", "--all", "--quiet", "--no-trunc", *filters).split()
        found = json.loads(self.call("inspect", *ids)) if ids else []
        return {each["Id"]: _container(each) for each in sorted(found, key=lambda each: str(each["Created"]))}

    def _compose(self, variables: str) -> tuple[str, ...]:
        own = (*self.compose_program, "--project-name", f"unstract-workers-{self.environment}")
        return (*own, "--env-file", variables, "--file", str(compose_file_of(self.environment)))


def _container(inspected: Mapping[str, Any]) -> Container:
    state = inspected["State"]
    health = state.get("Health") or state.get("Healthcheck") or {}
    probes = health.get("Log") or [{}]
    return Container(
        id=inspected["Id"],
        name=inspected["Name"].lstrip("/"),
        image=inspected["Config"]["Image"],
        state=state["Status"],
        exit_code=state["ExitCode"],
        restarts=inspected.get("RestartCount") or 0,
        health=health.get("Status") or "",
        probe=(probes[-1].get("Output") or "").strip(),
    )


def find_engine(environment: str) -> Engine:
    """The engine of this machine. Raises DeployFailed if none answers."""
    program = next(filter(shutil.which, ("docker", "podman")), None)
    if program is None:
        raise DeployFailed("neither docker nor podman is installed")
    run(program, "ps", "--quiet")
    # `podman compose` only calls another compose.
    for compose in (("docker", "compose"), ("docker-compose",)):
        if shutil.which(compose[0]) and (compose[0] != "docker" or program == "docker"):
            try:
                run(*compose, "version")
            except DeployFailed:
                continue
            return Engine(program, compose, environment)
    raise DeployFailed("there is no compose: neither `docker compose` nor docker-compose (with DOCKER_HOST for podman)")


def run(
    *command: str, seconds: float = QUICK_SECONDS, both: bool = False, variables: Mapping[str, str] | None = None
) -> str:
    """The output of a command, with a line of progress while it takes long. Raises DeployFailed with its output."""
    environment, errors = {**os.environ, **(variables or {})}, subprocess.STDOUT if both else subprocess.PIPE
    none, pipe, began = subprocess.DEVNULL, subprocess.PIPE, time.monotonic()
    with subprocess.Popen(command, env=environment, stdin=none, stdout=pipe, stderr=errors, text=True) as process:
        while True:
            left = began + seconds - time.monotonic()
            try:
                output, said = process.communicate(timeout=max(0.0, min(left, PROGRESS_SECONDS)))
                break
            except subprocess.TimeoutExpired:
                if left <= 0:
                    process.kill()
                    raise DeployFailed(f"`{' '.join(command)}` did not end within {seconds:g} s") from None
                say(f"still running after {time.monotonic() - began:.0f} s: {' '.join(command[:2])} ...")
    if process.returncode:
        printed = f"{output}\n{said or ''}".strip()
        raise DeployFailed(f"`{' '.join(command)}` failed ({process.returncode}): {printed}")
    return output


def say(text: str) -> None:
    """Prints a line of progress with the time of day."""
    sys.stdout.write(f"[{time.strftime('%H:%M:%S')}] {text}\n")
    sys.stdout.flush()
