"""The container engine, by its command lines: docker, or podman with docker-compose on its socket."""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from unstract_deploy.fleet import DeployFailed, Environment

__all__ = ["PROGRESS_SECONDS", "Container", "Engine", "find_engine"]

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
    health: str
    probe: str
    exit_code: int
    restarts: int

    @property
    def running(self) -> bool:
        """Whether it is up, healthy or not."""
        return self.state in ("running", "restarting", "paused")

    def failure(self, restarts: int) -> str:
        """Why it will never get healthy, or "". `restarts`: how often it had been restarted before."""
        if self.state in ("exited", "dead", "stopped"):
            return f"ended with exit code {self.exit_code}"
        again = self.restarts > restarts or self.state == "restarting"
        return f"ended and was started again, exit code {self.exit_code}" if again else ""


class Engine(NamedTuple):
    """The commands for one environment; `say` gets the progress of those that take long. All raise DeployFailed."""

    program: str
    compose_program: tuple[str, ...]
    environment: Environment
    say: Callable[[str], None]

    def call(self, *arguments: str, seconds: float = QUICK_SECONDS, both: bool = False) -> str:
        """The output of a command of the engine; with `both`, of its standard error too."""
        return _run((self.program, *arguments), seconds, self.say, both=both)

    def compose(self, *arguments: str, variables: Path, pins: Mapping[str, str]) -> None:
        """A compose command with these variables and pins."""
        command = (*self._compose(variables), "--progress", "quiet", *arguments)
        _run(command, LONG_SECONDS, self.say, environment={**pins, "WORKERS_ENV_FILE": str(variables)})

    def containers(self, service: str) -> tuple[Container, ...]:
        """All containers of a service, the oldest first."""
        labels = (f"project={self.environment.project}", f"service={service}")
        filters = (part for label in labels for part in ("--filter", f"label=com.docker.compose.{label}"))
        ids = self.call("ps", "--all", "--quiet", "--no-trunc", *filters).split()
        found = json.loads(self.call("inspect", *ids)) if ids else []
        return tuple(_container(each) for each in sorted(found, key=lambda each: str(each["Created"])))

    def stop(self, *ids: str) -> None:
        """Drains containers: SIGTERM, and SIGKILL once their grace period is over."""
        self.call("stop", *ids, seconds=LONG_SECONDS)

    def show_logs(self, *arguments: str, variables: Path) -> None:
        """Shows logs on this terminal."""
        environment = {**os.environ, "WORKERS_ENV_FILE": str(variables)}
        if code := subprocess.call((*self._compose(variables), "logs", *arguments), env=environment):
            raise DeployFailed(f"the logs could not be shown ({code})")

    def _compose(self, variables: Path) -> tuple[str, ...]:
        own = (*self.compose_program, "--project-name", self.environment.project)
        return (*own, "--env-file", str(variables), "--file", str(self.environment.compose_file))


def find_engine(environment: Environment, say: Callable[[str], None]) -> Engine:
    """The engine of this machine. Raises DeployFailed if none answers."""
    program = next(filter(shutil.which, ("docker", "podman")), None)
    if program is None:
        raise DeployFailed("neither docker nor podman is installed")
    _run((program, "ps", "--quiet"), QUICK_SECONDS, say)
    # `podman compose` only calls another compose.
    for compose in (*((("docker", "compose"),) if program == "docker" else ()), ("docker-compose",)):
        if shutil.which(compose[0]):
            try:
                _run((*compose, "version"), QUICK_SECONDS, say)
            except DeployFailed:
                continue
            return Engine(program, compose, environment, say)
    raise DeployFailed("there is no compose: neither `docker compose` nor docker-compose (with DOCKER_HOST for podman)")


def _container(inspected: Mapping[str, Any]) -> Container:
    state = inspected["State"]
    health = state.get("Health") or state.get("Healthcheck") or {}
    probes = health.get("Log") or [{}]
    return Container(
        id=inspected["Id"],
        name=inspected["Name"].lstrip("/"),
        image=inspected["Config"]["Image"],
        state=state["Status"],
        health=health.get("Status") or "",
        probe=(probes[-1].get("Output") or "").strip(),
        exit_code=state["ExitCode"],
        restarts=inspected.get("RestartCount") or 0,
    )


def _run(
    command: Sequence[str],
    seconds: float,
    say: Callable[[str], None],
    *,
    environment: Mapping[str, str] | None = None,
    both: bool = False,
) -> str:
    """The output of a command, with a line of progress while it takes long. Raises DeployFailed with its output."""
    whole, errors = {**os.environ, **(environment or {})}, subprocess.STDOUT if both else subprocess.PIPE
    began, none, pipe = time.monotonic(), subprocess.DEVNULL, subprocess.PIPE
    with subprocess.Popen(command, env=whole, stdin=none, stdout=pipe, stderr=errors, text=True) as process:
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
        printed = "\n".join(filter(None, (output.strip(), (said or "").strip())))
        raise DeployFailed(f"`{' '.join(command)}` failed ({process.returncode}): {printed}")
    return output
