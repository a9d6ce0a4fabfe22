"""What each action does."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from unstract_deploy.arguments import Request
from unstract_deploy.engine import Engine
from unstract_deploy.failures import DeployFailed
from unstract_deploy.fleet import Worker
from unstract_deploy.releases import Placed, Releases
from unstract_deploy.rolling import RollFailed, Rolling
from unstract_deploy.variables import Variables

__all__ = ["Deployment"]

REDIS = "redis"


@dataclass(frozen=True, slots=True)
class Deployment:
    """One request at work. Every method raises DeployFailed with the reason."""

    request: Request
    engine: Engine
    releases: Releases
    rolling: Rolling
    say: Callable[[str], None]

    def deploy(self, variables: Variables, pins: dict[str, str]) -> None:
        """Rolls the asked workers to their pins; back again if one of them fails."""
        kept = self.releases.keep_variables(variables.text)
        if self.request.environment.builds:
            self.say("building the images")
            self.engine.compose(
                ("build", *(worker.service for worker in self.request.workers)), variables=kept, pins=pins
            )
        self.say("redis: is there and healthy, or is brought up now")
        self.engine.compose(("up", "--detach", "--no-recreate", "--wait", REDIS), variables=kept, pins=pins)
        self._roll_all({worker: Placed(pins[worker.image_variable], str(kept)) for worker in self.request.workers})

    def rollback(self) -> None:
        """Rolls the asked workers to what they ran before."""
        wanted = {worker: self.releases.previous(worker) for worker in self.request.workers}
        there = {worker: placed for worker, placed in wanted.items() if placed is not None}
        if not there:
            raise DeployFailed("nothing is remembered from before the present release; deploy what you want to have")
        self._roll_all(there)

    def restart(self) -> None:
        """Rolls the asked workers to what they run."""
        self._roll_all({worker: self._current(worker) for worker in self.request.workers})

    def scale(self) -> None:
        """Brings the asked workers to the asked numbers of containers."""
        for worker in self.request.workers:
            running, wanted = self.rolling.tidied(worker), self.request.counts[worker.service]
            self.say(f"{worker.service}: {len(running)} -> {wanted}")
            for _ in range(wanted - len(running)):
                self.rolling.add(worker, self._current(worker))
            for container in reversed(running[wanted:]):
                self.rolling.retire(worker, container)

    def stop(self) -> None:
        """Drains the asked workers, from the start of the line to its end; Redis too if all were meant."""
        services = [worker.service for worker in reversed(self.request.workers)]
        for service in (*services, *((REDIS,) if self.request.all_workers else ())):
            running = [container.id for container in self.engine.containers(service) if container.running]
            self.say(f"{service}: stopping {len(running)} containers")
            if running:
                self.engine.stop(running)

    def status(self) -> None:
        """Shows every container; fails if a worker has none that is healthy."""
        missing = []
        for service in (*(worker.service for worker in self.request.workers), REDIS):
            containers = self.engine.containers(service)
            for each in containers:
                self.say(f"{service:<16} {each.name:<48} {each.state:<10} {each.health or '-':<10} {each.image}")
            if not any(each.running and each.health == "healthy" for each in containers):
                missing.append(service)
        if missing:
            raise DeployFailed(f"no healthy container: {', '.join(missing)}")

    def logs(self) -> None:
        """Shows the logs of the asked workers."""
        services = [worker.service for worker in self.request.workers]
        variables = self.request.variables_file
        code = self.engine.follow_logs(
            services, lines=self.request.lines, follow=self.request.follow, variables=variables
        )
        if code:
            raise DeployFailed(f"the logs could not be shown ({code})")

    def _current(self, worker: Worker) -> Placed:
        placed = self.releases.current(worker)
        if placed is None or not Path(placed.variables).exists():
            raise DeployFailed(f"{worker.service}: nothing was deployed here; deploy first")
        return placed

    def _roll_all(self, wanted: dict[Worker, Placed]) -> None:
        before = {worker: self.releases.current(worker) for worker in wanted}
        rolled: list[Worker] = []
        for worker, placed in wanted.items():
            try:
                self.rolling.roll(worker, placed)
            except RollFailed as error:
                self.say(f"{worker.service}: FAILED: {error}")
                changed = [worker, *reversed(rolled)] if error.replaced else list(reversed(rolled))
                self._back(changed, before)
                raise
            rolled.append(worker)
        for worker, placed in wanted.items():
            self.releases.record(worker, placed)

    def _back(self, changed: list[Worker], before: dict[Worker, Placed | None]) -> None:
        """Rolls what was changed back to what it ran; each on its own, so that one failure leaves no other behind."""
        for worker in changed:
            placed = before[worker]
            if placed is None:
                self.say(f"{worker.service}: has no earlier release to go back to and stays")
                continue
            self.say(f"{worker.service}: rolling back")
            try:
                self.rolling.roll(worker, placed)
            except DeployFailed as error:
                self.say(f"{worker.service}: could NOT be rolled back: {error}")
