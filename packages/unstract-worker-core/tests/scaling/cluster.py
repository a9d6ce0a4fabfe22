"""A cluster in simulated time: a queue, replicas with slots, and an autoscaler that goes by a printed ScaledObject.

The autoscaler is Kubernetes' HorizontalPodAutoscaler as documented: a tolerance of a tenth, a stabilization window over
past recommendations, and policies over past changes. Time goes in whole seconds; nothing here looks at a clock.
"""

import math
import random
from collections import deque
from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import Any

from attrs import define, field

SLOTS = 16
START_SECONDS = 20
SYNC_SECONDS = 15
TOLERANCE = 0.1


@define
class Replica:
    """A pod: it takes work once it is up, none once it drains, and is gone when its grace is over."""

    up_at: int
    work: list[int] = field(factory=list)  # when each item ends
    draining_since: int | None = None

    def takes(self, now: int) -> int:
        return SLOTS - len(self.work) if self.draining_since is None and now >= self.up_at else 0


@define
class Scaler:
    """The autoscaler's memory: what it recommended and what it changed, with times."""

    spec: dict[str, Any]
    recommended: list[tuple[int, int]] = field(factory=list)
    changes: list[tuple[int, int]] = field(factory=list)

    def decide(self, now: int, current: int, metrics: dict[str, float]) -> int:
        needed = evaluated(self.spec["advanced"]["scalingModifiers"]["formula"], metrics)
        wanted = current if abs(needed / current - 1) <= TOLERANCE else math.ceil(needed)
        wanted = min(max(wanted, self.spec["minReplicaCount"]), self.spec["maxReplicaCount"])
        rules = self.spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
        self.recommended.append((now, wanted))
        window = rules["scaleDown"]["stabilizationWindowSeconds"]
        stable = max(value for at, value in self.recommended if at > now - window or at == now)
        wanted = max(wanted, min(current, stable))
        if wanted > current:
            return min(wanted, max(self._limits(now, current, rules["scaleUp"]["policies"], up=True)))
        return max(wanted, min(self._limits(now, current, rules["scaleDown"]["policies"], up=False)))

    def _limits(self, now: int, current: int, policies: list[dict[str, Any]], *, up: bool) -> Iterable[int]:
        sign = 1 if up else -1
        for policy in policies:
            since = now - policy["periodSeconds"]
            start = current - sign * sum(abs(by) for at, by in self.changes if at > since and (by > 0) is up)
            step = policy["value"] if policy["type"] == "Pods" else start * policy["value"] / 100
            yield math.ceil(start + step) if up else int(start - step)


@define
class Cluster:
    """One worker type under load.

    Attributes:
        arrivals: items that arrive in a second, as durations.
        drain, grace: seconds after SIGTERM until what runs is handed back, and until the pod is killed.
    """

    spec: dict[str, Any]
    arrivals: Callable[[int, random.Random], list[int]]
    drain: int
    grace: int
    seed: int = 1
    waiting: deque[tuple[int, int]] = field(factory=deque)  # (since, duration)
    replicas: list[Replica] = field(factory=list)
    scaler: Scaler = field(init=False)
    chance: random.Random = field(init=False)
    backlog: list[int] = field(factory=list)
    sizes: list[int] = field(factory=list)
    longest_wait: int = 0
    arrived: int = 0
    finished: int = 0
    handed_back: int = 0
    killed: int = 0
    _seen: tuple[int, int] = (0, 0)

    def __attrs_post_init__(self) -> None:
        self.scaler, self.chance = Scaler(self.spec), random.Random(self.seed)
        self.replicas = [Replica(up_at=0) for _ in range(self.spec["minReplicaCount"])]

    def run(self, seconds: int) -> "Cluster":
        for now in range(seconds):
            for duration in self.arrivals(now, self.chance):
                self.waiting.append((now, duration))
                self.arrived += 1
            self._work(now)
            if now % SYNC_SECONDS == 0:
                self._scale(now)
            self.backlog.append(len(self.waiting))
            self.sizes.append(len(self._active()))
        return self

    @property
    def running(self) -> int:
        return sum(len(replica.work) for replica in self.replicas)

    @property
    def reversals(self) -> int:
        """How often a change went against the one before it."""
        signs = [by > 0 for _, by in self.scaler.changes]
        return sum(one is not other for one, other in pairwise(signs))

    def _active(self) -> list[Replica]:
        return [replica for replica in self.replicas if replica.draining_since is None]

    def _work(self, now: int) -> None:
        for replica in self.replicas:
            before = len(replica.work)
            replica.work = [end for end in replica.work if end > now]
            self.finished += before - len(replica.work)
            while self.waiting and replica.takes(now):
                since, duration = self.waiting.popleft()
                self.longest_wait = max(self.longest_wait, now - since)
                replica.work.append(now + duration)
        self.replicas = [replica for replica in self.replicas if not self._gone(replica, now)]

    def _gone(self, replica: Replica, now: int) -> bool:
        if replica.draining_since is None:
            return False
        lasted = now - replica.draining_since
        if lasted >= self.grace:
            self.killed += len(replica.work)
            return True
        if lasted >= self.drain:  # handed back: somebody else works on it from its start
            self.handed_back += len(replica.work)
            self.waiting.extendleft((now, end - now) for end in replica.work)
            return True
        return not replica.work

    def _scale(self, now: int) -> None:
        # What is seen is one scrape old.
        metrics, self._seen = self._seen, (len(self.waiting), self.running)
        current = len(self._active())
        wanted = self.scaler.decide(now, current, {"waiting": metrics[0], "running": metrics[1]})
        if wanted == current:
            return
        self.scaler.changes.append((now, wanted - current))
        for _ in range(wanted - current):
            self.replicas.append(Replica(up_at=now + START_SECONDS))
        for replica in self.chance.sample(self._active(), max(0, current - wanted)):  # Kubernetes chooses which one
            replica.draining_since = now


def evaluated(formula: str, metrics: dict[str, float]) -> float:
    """A formula of the form ``a > b ? a : b``, or just ``a``, of numbers and metrics."""
    condition, _, rest = formula.partition("?")
    text = f"({rest.partition(':')[0]}) if ({condition}) else ({rest.partition(':')[2]})" if rest else condition
    return float(eval(text, {"__builtins__": {}}, dict(metrics)))  # noqa: S307 - our own formula
