"""Writes this worker's heartbeat and reads what /metrics shows of the fleet: in a thread of its own, every few seconds.

Queues, ledger and workers that are gone belong to the whole fleet: one elected worker reports each, so that sums over
all workers are right.
"""

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

from attrs import define, field

from unstract_worker_core import __version__
from unstract_worker_core.errors import LedgerError
from unstract_worker_core.fleet import Fleet, Heartbeat, missing
from unstract_worker_core.ledger import RunState, RunTask
from unstract_worker_core.ledger.census import take_census, take_role
from unstract_worker_core.observability import metrics as m
from unstract_worker_core.observability.logs import get_logger
from unstract_worker_core.observability.metrics import Reading
from unstract_worker_core.queues import queues_of
from unstract_worker_core.runs.runtime import Runtime
from unstract_worker_core.statuses import RunKind, WorkerType
from unstract_worker_core.worker.doorbell_publisher import CeleryDoorbells

_PAUSE_SECONDS = 5.0
# A role lasts this long without being taken again, and what was read under it is shown no longer.
_ROLE_SECONDS = 15.0
# There also while there are none: a graph shows 0 and not a gap.
_NO_RUNS = {(RunTask.EXECUTION.value, state.value): 0 for state in RunState if state is not RunState.DONE}
_NO_WAIT = {RunTask.EXECUTION.value: 0.0}
_NONE_UNCLAIMED = {kind.value: 0 for kind in RunKind}

log = get_logger(__name__)


@define(eq=False)
class Reporter:
    """A service beside the tasks.

    Attributes:
        queues: names the queues that this process consumes.
    """

    runtime: Runtime
    queues: Callable[[], tuple[str, ...]]
    pause: float = _PAUSE_SECONDS
    _token: str = field(init=False)
    _fleet: Fleet = field(init=False)
    _began: float = field(factory=time.monotonic, init=False)
    _stop: threading.Event = field(factory=threading.Event, init=False)

    def __attrs_post_init__(self) -> None:
        self._token = self.runtime.token()
        self._fleet = Fleet(self.runtime.ledger.redis)

    def start(self) -> None:
        """Read at once and every few seconds, until stopped."""
        threading.Thread(target=self._loop, name="metrics", daemon=True).start()

    def stop(self) -> None:
        """Stop, and leave the fleet."""
        self._stop.set()
        with suppress(LedgerError):
            self._fleet.leave(self._token)

    def look(self) -> None:
        """Read once. Raises LedgerError."""
        shown, worker = self.runtime.metrics.readings, self.runtime.settings.worker
        shown.show("worker", self._of_this_worker())
        self._fleet.beat(self._token, self._heartbeat())
        until = time.monotonic() + _ROLE_SECONDS
        # Of the whole fleet's queues: one whose workers are all dead is what an alert is for.
        queues = tuple(name for name in self._fleet.queues() if self._has(f"queue:{name}"))
        shown.show("queues", self._lengths(queues), until=until)
        if self._has("fleet"):
            shown.show("fleet", self._missing(), until=until)
        if worker is WorkerType.CALLBACK and self._has("ledger"):
            shown.show("ledger", self._ledger(), until=until)

    def _has(self, role: str) -> bool:
        return take_role(self.runtime.ledger.redis, f"metrics:{role}", self._token, _ROLE_SECONDS)

    def _heartbeat(self) -> Heartbeat:
        runtime = self.runtime
        return Heartbeat(
            instance=runtime.settings.instance,
            worker=runtime.settings.worker.value,
            version=runtime.settings.version,
            core_version=__version__,
            hostname=runtime.metrics.hostname,
            pid=os.getpid(),
            slots=runtime.progress.concurrency,
            running=runtime.progress.slots_in_use,
            idle_seconds=round(runtime.progress.idle_seconds, 1),
            backend=runtime.backend.breaker.state,
            queues=self.queues(),
            silent_calls=runtime.backend.silent_calls.shown(),
            up_seconds=round(time.monotonic() - self._began, 1),
        )

    def _missing(self) -> tuple[Reading, ...]:
        """Vanished workers, by host; with the type where others are there, with the pid where those are of its type."""
        members = self._fleet.members()
        gone = missing(members)
        known = [*gone, *(each.heartbeat for each in members if each.alive)]
        names = set()
        for beat in gone:
            there = [each for each in known if each.hostname == beat.hostname and each != beat]
            twins = [each for each in there if each.worker == beat.worker]
            name = f"{beat.worker}@{beat.hostname}" if there else beat.hostname
            names.add(f"{name}:{beat.pid}" if twins else name)
        return tuple(Reading(m.WORKER_UP, 0, (name,)) for name in sorted(names))

    def _of_this_worker(self) -> Iterator[Reading]:
        rule = queues_of(self.runtime.settings.worker).scaling
        yield Reading(m.WORKER_UP, 1, (self.runtime.metrics.hostname,))
        yield Reading(m.WAITING_PER_REPLICA, rule.waiting_per_replica)
        yield Reading(m.MAX_REPLICAS, rule.max_replicas)
        for name in self.queues():
            yield Reading(m.ACTIVE_WORKERS, 1, (name,))

    def _lengths(self, queues: tuple[str, ...]) -> tuple[Reading, ...]:
        bells = self.runtime.doorbells
        depths = bells.depths(queues) if isinstance(bells, CeleryDoorbells) else None
        return tuple(Reading(m.QUEUE_LENGTH, depth, (name,)) for name, depth in (depths or {}).items())

    def _ledger(self) -> Iterator[Reading]:
        census = take_census(self.runtime.ledger.redis)
        yield Reading(m.DUE, census.due)
        yield Reading(m.LETTERS, census.dead_letters)
        for (task, state), number in (_NO_RUNS | census.runs).items():
            yield Reading(m.RUNS, number, (task, state))
        for task, seconds in (_NO_WAIT | census.idle).items():
            yield Reading(m.IDLE, seconds, (task,))
        for kind, waiting in (_NONE_UNCLAIMED | census.unclaimed).items():
            yield Reading(m.UNCLAIMED, waiting, (kind,))

    def _loop(self) -> None:
        while True:
            try:
                self.look()
            except LedgerError as error:  # what was read before is shown until its time, then nothing
                log.debug("metrics could not be read", error=str(error))
            except Exception:  # thread boundary: metrics must not end with one bad reading
                log.exception("metrics could not be read")
            if self._stop.wait(self.pause):
                return
