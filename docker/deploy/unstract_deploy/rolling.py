"""Replaces the containers of one worker, one at a time: the new one is healthy before the old one drains."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from unstract_deploy.engine import Container, Engine
from unstract_deploy.failures import DeployFailed
from unstract_deploy.fleet import Worker
from unstract_deploy.releases import Placed

__all__ = ["RollFailed", "Rolling"]

LOOK_SECONDS = 1.0


class RollFailed(DeployFailed):
    """A worker was not replaced; `replaced` of its containers run the new image all the same."""

    def __init__(self, reason: str, replaced: int) -> None:
        super().__init__(reason)
        self.replaced = replaced


@dataclass(frozen=True, slots=True)
class Rolling:
    """Rolls workers; `say` tells each step."""

    engine: Engine
    say: Callable[[str], None]
    health_seconds: float
    look_seconds: float = LOOK_SECONDS

    def roll(self, worker: Worker, placed: Placed) -> None:
        """Replaces every container of a worker, or starts its first. Raises RollFailed."""
        replaced = 0
        try:
            old = self.tidied(worker)
            for number in range(max(1, len(old))):
                which = f" ({number + 1} of {len(old)})" if len(old) > 1 else ""
                self.say(f"{worker.service}: starting {placed.image}{which}")
                self.add(worker, placed)
                if old:
                    self.retire(worker, old[number])
                replaced += 1
        except DeployFailed as error:
            raise RollFailed(str(error), replaced) from None

    def tidied(self, worker: Worker) -> tuple[Container, ...]:
        """The running containers of a worker; those that have ended are removed."""
        containers = self.engine.containers(worker.service)
        for container in containers:
            if not container.running:
                self.engine.remove(container.id)
        return tuple(container for container in containers if container.running)

    def add(self, worker: Worker, placed: Placed) -> None:
        """One container more, which is healthy; nothing more if it does not get there. Raises DeployFailed."""
        before = frozenset(container.id for container in self.tidied(worker))
        wanted = f"{worker.service}={len(before) + 1}"
        arguments = ("up", "--detach", "--no-deps", "--no-recreate", "--no-build", "--scale", wanted, worker.service)
        try:
            self.engine.compose(arguments, variables=Path(placed.variables), pins={worker.image_variable: placed.image})
            self._wait(worker, before)
        except DeployFailed:
            for container in self.engine.containers(worker.service):
                if container.id not in before:
                    self.engine.remove(container.id)
            raise

    def retire(self, worker: Worker, container: Container) -> None:
        """Drains a container and removes it."""
        began = time.monotonic()
        self.say(f"{worker.service}: {container.name} drains")
        self.engine.stop((container.id,))
        code = self.engine.inspected((container.id,))[0].exit_code
        self.say(f"{worker.service}: {container.name} ended after {time.monotonic() - began:.0f} s, exit code {code}")
        self.engine.remove(container.id)

    def _wait(self, worker: Worker, before: frozenset[str]) -> None:
        """Until the container that was not there before is healthy."""
        began = time.monotonic()
        while True:
            added = [each for each in self.engine.containers(worker.service) if each.id not in before]
            if len(added) != 1:
                raise DeployFailed(f"{worker.service}: compose started {len(added)} containers instead of one")
            problem = _problem(added[0])
            passed = time.monotonic() - began
            if added[0].health == "healthy" and not problem:
                self.say(f"{worker.service}: {added[0].name} is healthy after {passed:.0f} s")
                return
            if not problem and passed > self.health_seconds:
                health = added[0].health or "without a health check"
                problem = f"is not healthy after {self.health_seconds:g} s ({health})"
            if problem:
                log = self.engine.log_tail(added[0].id)
                told = f"; it wrote last:\n{log}" if log else ""
                raise DeployFailed(f"{worker.service}: the new container {problem}{told}")
            time.sleep(self.look_seconds)


def _problem(container: Container) -> str | None:
    """Why a new container will not get healthy."""
    if container.health == "unhealthy":
        return "is unhealthy"
    if container.state in ("exited", "dead", "stopped"):
        return f"ended with exit code {container.exit_code}"
    if container.restarts or container.state == "restarting":
        return f"ended and was started again, exit code {container.exit_code}"
    return None
