"""The actions: containers are replaced one at a time, and the new one is ready before the old one drains."""

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from unstract_deploy.engine import PROGRESS_SECONDS, Container, Engine
from unstract_deploy.fleet import DeployFailed, Release, Releases, Worker

__all__ = ["Rollout"]

REDIS = "redis"
POLL_SECONDS = 1.0
CHECK = ("/opt/worker/bin/unstract-worker", "check")


class Rollout(NamedTuple):
    """One request being carried out. Every method raises DeployFailed with the reason.

    `health_seconds` bounds each wait for a container; `say` gets a line for each step and for each wait that lasts.
    """

    workers: tuple[Worker, ...]
    engine: Engine
    releases: Releases
    health_seconds: float
    say: Callable[[str], None]

    def deploy(self, variables: Path, pins: Mapping[str, str], *, check: bool) -> None:
        """Rolls the workers to their pins; all of them back if one does not get ready or, with `check`, fails it."""
        if self.engine.environment.builds:
            self.say("building the images")
            self.engine.compose("build", *(worker.service for worker in self.workers), variables=variables, pins=pins)
        self.say("redis: is there and healthy, or is started now")
        self.engine.compose("up", "--detach", "--no-recreate", "--no-deps", REDIS, variables=variables, pins=pins)
        for container in self._running(REDIS):
            self._wait(REDIS, container, container.restarts)
        wanted = {worker: Release(pins[worker.image_variable], str(variables)) for worker in self.workers}
        self._roll_all(wanted, check=check)

    def rollback(self) -> None:
        """Rolls the workers to their previous releases."""
        releases = {worker: release for worker in self.workers if (release := self.releases.previous(worker))}
        if not releases:
            raise DeployFailed("nothing is remembered from before the present release; deploy what you want to have")
        self._roll_all(releases)

    def restart(self) -> None:
        """Rolls the workers to their current releases."""
        self._roll_all({worker: self._current(worker) for worker in self.workers})

    def scale(self, counts: Mapping[Worker, int]) -> None:
        """Brings the workers to these numbers of containers."""
        for worker, wanted in counts.items():
            running = self._running(worker.service)
            self.say(f"{worker.service}: {len(running)} -> {wanted}")
            for _ in range(wanted - len(running)):
                self._add(worker, self._current(worker))
            for container in reversed(running[wanted:]):
                self._retire(worker, container)

    def stop(self, *, redis: bool) -> None:
        """Drains the workers, those that receive from outside first; then Redis, if asked."""
        for service in (*(worker.service for worker in reversed(self.workers)), *((REDIS,) if redis else ())):
            running = [container.id for container in self.engine.containers(service) if container.running]
            self.say(f"{service}: stopping {len(running)} containers")
            if running:
                self.engine.stop(*running)

    def status(self) -> None:
        """Shows every container; fails if a worker has none that is ready."""
        missing = []
        for service in (*(worker.service for worker in self.workers), REDIS):
            containers = self.engine.containers(service)
            for each in containers:
                health = f"{each.health or '-'} {each.probe if each.health != 'healthy' else ''}".rstrip()
                self.say(f"{service:<16} {each.name:<48} {each.state:<10} {each.image} {health}")
            if not any(each.running and each.health == "healthy" for each in containers):
                missing.append(service)
        if missing:
            raise DeployFailed(f"no healthy container: {', '.join(missing)}")

    def _current(self, worker: Worker) -> Release:
        release = self.releases.current(worker)
        if release is None or not Path(release.variables).exists():
            raise DeployFailed(f"{worker.service}: nothing was deployed here; deploy first")
        return release

    def _roll_all(self, wanted: Mapping[Worker, Release], *, check: bool = False) -> None:
        changed: list[Worker] = []
        for worker, release in wanted.items():
            try:
                self._roll(worker, release, changed, check=check)
            except DeployFailed as error:
                self.say(f"{worker.service}: FAILED: {error}")
                for each in reversed(changed):
                    self._roll_back(each)
                raise
            except KeyboardInterrupt:
                self.releases.record({each: wanted[each] for each in changed})
                kept = [each for each in wanted if each not in changed]
                self.say(f"interrupted; replaced: {_names(changed)}; as before: {_names(kept)}")
                raise
        self.releases.record(wanted)

    def _roll_back(self, worker: Worker) -> None:
        """Rolls one worker back; its failure does not keep the others from going back."""
        release = self.releases.current(worker)  # recorded only after all workers are rolled
        if release is None:
            self.say(f"{worker.service}: has no earlier release to go back to and is left as it is")
            return
        self.say(f"{worker.service}: rolling back")
        try:
            self._roll(worker, release, [])
        except DeployFailed as error:
            self.say(f"{worker.service}: could NOT be rolled back: {error}")

    def _roll(self, worker: Worker, release: Release, changed: list[Worker], *, check: bool = False) -> None:
        """Replaces every container of a worker, or starts its first; the worker is in `changed` from the first on."""
        old, new = self._running(worker.service), []
        for number in range(max(1, len(old))):
            which = f" ({number + 1} of {len(old)})" if len(old) > 1 else ""
            self.say(f"{worker.service}: starting {release.image}{which}")
            new.append(self._add(worker, release, check=check))
            if number == 0:
                changed.append(worker)
            if old:
                self._retire(worker, old[number])
        for container in new:
            self._look_again(worker.service, container)

    def _running(self, service: str) -> tuple[Container, ...]:
        """The running containers of a service; those that have ended are removed."""
        containers = self.engine.containers(service)
        for container in containers:
            if not container.running:
                self.engine.call("rm", "--force", container.id)
        return tuple(container for container in containers if container.running)

    def _add(self, worker: Worker, release: Release, *, check: bool = False) -> Container:
        """Starts one more container and waits until it is ready; removes it if it does not get there."""
        service, before = worker.service, {container.id for container in self._running(worker.service)}
        scale = ("--scale", f"{service}={len(before) + 1}")
        # Not `--wait`: compose would also wait for the old containers, which may be what has to be replaced.
        arguments = ("up", "--detach", "--no-deps", "--no-recreate", "--no-build", *scale, service)
        pins = {worker.image_variable: release.image}
        try:
            self.engine.compose(*arguments, variables=Path(release.variables), pins=pins)
            added = [each for each in self.engine.containers(service) if each.id not in before]
            if len(added) != 1:
                raise DeployFailed(f"{service}: compose started {len(added)} containers instead of one")
            self._wait(service, added[0])
            if check:
                self.engine.call("exec", added[0].id, *CHECK, seconds=self.health_seconds)
                self.say(f"{service}: {added[0].name} passes its own check")
                self._look_again(service, added[0])
        except (DeployFailed, KeyboardInterrupt):
            for container in self.engine.containers(service):
                if container.id not in before:
                    self.engine.call("rm", "--force", container.id)
            raise
        return added[0]

    def _retire(self, worker: Worker, container: Container) -> None:
        """Drains a container and removes it."""
        began = time.monotonic()
        self.say(f"{worker.service}: {container.name} drains")
        self.engine.stop(container.id)
        found = self._find(worker.service, container)
        code = f"exit code {found.exit_code}" if found else "removed meanwhile"
        self.say(f"{worker.service}: {container.name} ended after {time.monotonic() - began:.0f} s, {code}")
        self.engine.call("rm", "--force", container.id)

    def _find(self, service: str, container: Container) -> Container | None:
        """A container as it is now; None if it is gone."""
        return next((each for each in self.engine.containers(service) if each.id == container.id), None)

    def _look_again(self, service: str, container: Container) -> None:
        """A container that was healthy must still be, or get so again. Raises DeployFailed."""
        found = self._find(service, container)
        if found is None or found.health != "healthy" or found.failure(container.restarts):
            self.say(f"{service}: {container.name} is not healthy any more")
            self._wait(service, container, container.restarts)

    def _wait(self, service: str, container: Container, restarts: int = 0) -> None:
        """Until a container is healthy, which for a worker means ready. Raises DeployFailed with its last lines."""
        began, reported = time.monotonic(), 0.0
        while True:
            found = self._find(service, container)
            if found is None:
                raise DeployFailed(f"{service}: {container.name} is gone")
            passed, problem = time.monotonic() - began, found.failure(restarts)
            if found.health == "healthy" and not problem:
                self.say(f"{service}: {found.name} is healthy after {passed:.0f} s")
                return
            seen = ", ".join(filter(None, (found.health or "without a health check", found.probe)))
            if problem or passed >= self.health_seconds:
                problem = problem or f"is not healthy after {self.health_seconds:g} s ({seen})"
                log = self.engine.call("logs", "--tail", "15", found.id, both=True).strip()
                last = f"; its last lines:\n{log}" if log else ""
                raise DeployFailed(f"{service}: {found.name} {problem}{last}")
            if passed - reported >= PROGRESS_SECONDS:
                reported = passed
                self.say(f"{service}: waits for {found.name}, {passed:.0f} of {self.health_seconds:g} s: {seen}")
            time.sleep(min(POLL_SECONDS, max(0.0, self.health_seconds - passed)))


def _names(workers: Sequence[Worker]) -> str:
    return ", ".join(worker.service for worker in workers) or "none"
