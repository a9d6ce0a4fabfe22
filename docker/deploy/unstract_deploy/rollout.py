"""The actions: containers are replaced one at a time, and the new one is ready before the old one drains."""

import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from unstract_deploy import DeployFailed
from unstract_deploy.engine import LONG_SECONDS, PROGRESS_SECONDS, Container, Engine, say
from unstract_deploy.environment import DEVELOPMENT, pin_of
from unstract_deploy.releases import Release, Releases

__all__ = ["REDIS", "Rollout"]

REDIS = "redis"
POLL_SECONDS = 1.0
CHECK = ("/opt/worker/bin/unstract-worker", "check")


class Rollout(NamedTuple):
    """One request being carried out; `health_seconds` bounds each wait for a container. All raise DeployFailed."""

    engine: Engine
    releases: Releases
    health_seconds: float

    def prepare(self, workers: Sequence[str], variables: str, pins: Mapping[str, str]) -> None:
        """Builds the images in development; starts Redis, unless it runs, and waits until it is healthy."""
        if self.engine.environment == DEVELOPMENT:
            say("building the images")
            self.engine.compose("build", *workers, variables=variables, pins=pins)
        say("redis: is there and healthy, or is started now")
        self.engine.compose("up", "--detach", "--no-recreate", "--no-deps", REDIS, variables=variables, pins=pins)
        for container in self._running(REDIS):
            self._wait(REDIS, container, container.restarts)

    def roll(self, wanted: Mapping[str, Release], *, check: bool = False) -> None:
        """Rolls workers to these releases; all of them back if one does not get ready or, with `check`, fails it."""
        changed: list[str] = []
        for worker, release in wanted.items():
            try:
                self._exchange(worker, release, changed, check=check)
            except DeployFailed as error:
                say(f"{worker}: FAILED: {error}")
                for each in reversed(changed):
                    self._roll_back(each)
                raise
            except KeyboardInterrupt:
                self.releases.record({each: wanted[each] for each in changed})
                kept = [each for each in wanted if each not in changed]
                say(f"interrupted; replaced: {', '.join(changed) or 'none'}; as before: {', '.join(kept) or 'none'}")
                raise
        self.releases.record(wanted)

    def scale(self, releases: Mapping[str, Release], numbers: Mapping[str, int]) -> None:
        """Brings workers to these numbers of containers."""
        for worker, number in numbers.items():
            running = self._running(worker)
            say(f"{worker}: {len(running)} -> {number}")
            for _ in range(number - len(running)):
                self._add(worker, releases[worker])
            for container in reversed(running[number:]):
                self._retire(worker, container)

    def stop(self, services: Sequence[str]) -> None:
        """Drains all containers of services, one service after the other."""
        for service in services:
            running = [container.id for container in self.engine.containers(service).values() if container.running]
            say(f"{service}: stopping {len(running)} containers")
            if running:
                self.engine.call("stop", *running, seconds=LONG_SECONDS)

    def status(self, services: Sequence[str]) -> None:
        """Shows every container; fails if a service has none that is ready."""
        missing = list(services)
        for service in services:
            for each in self.engine.containers(service).values():
                health = f"{each.health or '-'} {each.probe if each.health != 'healthy' else ''}".rstrip()
                say(f"{service:<16} {each.name:<48} {each.state:<10} {each.image} {health}")
                if each.running and each.health == "healthy" and service in missing:
                    missing.remove(service)
        if missing:
            raise DeployFailed(f"no healthy container: {', '.join(missing)}")

    def _roll_back(self, worker: str) -> None:
        """Rolls one worker back; its failure does not keep the others from going back."""
        release = self.releases.recorded("current").get(worker)  # recorded only after all workers are rolled
        if release is None:
            return say(f"{worker}: has no earlier release to go back to and is left as it is")
        say(f"{worker}: rolling back")
        try:
            return self._exchange(worker, release, [])
        except DeployFailed as error:
            return say(f"{worker}: could NOT be rolled back: {error}")

    def _exchange(self, worker: str, release: Release, changed: list[str], *, check: bool = False) -> None:
        """Replaces every container of a worker, or starts its first; the worker is in `changed` from the first on."""
        old, new = self._running(worker), []
        for number in range(max(1, len(old))):
            say(f"{worker}: starting {release.image} ({number + 1} of {len(old) or 1})")
            new.append(self._add(worker, release, check=check))
            if number == 0:
                changed.append(worker)
            if old:
                self._retire(worker, old[number])
        for container in new:  # what was ready must still be, or get so again
            self._wait(worker, container, container.restarts)

    def _running(self, service: str) -> list[Container]:
        """The running containers of a service; those that have ended are removed."""
        containers = self.engine.containers(service).values()
        if ended := [container.id for container in containers if not container.running]:
            self.engine.call("rm", "--force", *ended)
        return [container for container in containers if container.running]

    def _add(self, worker: str, release: Release, *, check: bool = False) -> Container:
        """Starts one more container and waits until it is ready; removes it if it does not get there."""
        before = {container.id for container in self._running(worker)}
        scale = ("--scale", f"{worker}={len(before) + 1}")
        # Not `--wait`: compose would also wait for the old containers, which may be what has to be replaced.
        up = ("up", "--detach", "--no-deps", "--no-recreate", "--no-build", *scale, worker)
        try:
            self.engine.compose(*up, variables=release.variables, pins={pin_of(worker): release.image})
            added = [each for each in self.engine.containers(worker).values() if each.id not in before]
            if len(added) != 1:
                raise DeployFailed(f"{worker}: compose started {len(added)} containers instead of one")
            self._wait(worker, added[0])
            if check:
                self.engine.call("exec", added[0].id, *CHECK, seconds=self.health_seconds)
                say(f"{worker}: {added[0].name} passes its own check")
                self._wait(worker, added[0], added[0].restarts)
        except (DeployFailed, KeyboardInterrupt):
            if left := [each for each in self.engine.containers(worker) if each not in before]:
                self.engine.call("rm", "--force", *left)
            raise
        return added[0]

    def _retire(self, worker: str, container: Container) -> None:
        """Drains a container and removes it."""
        began = time.monotonic()
        say(f"{worker}: {container.name} drains")
        self.engine.call("stop", container.id, seconds=LONG_SECONDS)
        found = self.engine.containers(worker).get(container.id)
        how = f"exit code {found.exit_code}" if found else "removed meanwhile"
        say(f"{worker}: {container.name} ended after {time.monotonic() - began:.0f} s, {how}")
        self.engine.call("rm", "--force", container.id)

    def _wait(self, service: str, container: Container, restarts: int = 0) -> None:
        """Until a container is healthy, which for a worker means ready. Raises DeployFailed with its last lines."""
        began, reported = time.monotonic(), 0.0
        while True:
            found, passed = self.engine.containers(service).get(container.id), time.monotonic() - began
            if found is None:
                raise DeployFailed(f"{service}: {container.name} is gone")
            seen, problem = ", ".join(filter(None, (found.health or "without a health check", found.probe))), ""
            if found.state in ("exited", "dead", "stopped"):
                problem = f"ended with exit code {found.exit_code}"
            elif found.state == "restarting" or found.restarts > restarts:
                problem = f"ended and was started again, exit code {found.exit_code}"
            elif found.health == "healthy":
                return say(f"{service}: {found.name} is healthy after {passed:.0f} s")
            elif passed >= self.health_seconds:
                problem = f"is not healthy after {self.health_seconds:g} s ({seen})"
            if problem:
                log = self.engine.call("logs", "--tail", "15", found.id, both=True).strip()
                raise DeployFailed(f"{service}: {found.name} {problem}; its last lines:\n{log}")
            if passed - reported >= PROGRESS_SECONDS:
                reported = passed
                say(f"{service}: waits for {found.name}, {passed:.0f} of {self.health_seconds:g} s: {seen}")
            time.sleep(min(POLL_SECONDS, max(0.0, self.health_seconds - passed)))
