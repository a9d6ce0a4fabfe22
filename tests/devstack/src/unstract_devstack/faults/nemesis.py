"""Carries a schedule out. Runs in the main thread: processes that it starts are tied to it."""

import contextlib
import heapq
import itertools
import os
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import redis
from attrs import define, field

from unstract_devstack.faults.arena import Arena
from unstract_devstack.faults.schedule import Action, Kind
from unstract_devstack.fleet import API_DEPLOYMENT, CALLBACK, FILE_PROCESSING, GENERAL, Worker

DOORBELL_QUEUES = ("uw_orchestrate_api", "uw_orchestrate", "uw_files", "uw_api_files", "uw_callback", "uw_deliver")
VICTIMS = {
    Kind.KILL_FILES: (FILE_PROCESSING,),
    Kind.KILL_CALLBACK: (CALLBACK,),
    Kind.KILL_START: (API_DEPLOYMENT, GENERAL),
    Kind.FREEZE_WORKER: (FILE_PROCESSING, CALLBACK, API_DEPLOYMENT, GENERAL),
}
WRITES = r"^/internal/.*(execute-file|update_status|status|enqueue|create|mark)"


@define
class Nemesis:
    """Does what a schedule says, at its times."""

    arena: Arena
    _steps: list[tuple[float, int, Callable[[], None]]] = field(factory=list, init=False)
    _numbers: "itertools.count[int]" = field(factory=itertools.count, init=False)

    def unleash(self, actions: Sequence[Action]) -> None:
        """Returns once every action is over; the workers may still be starting."""
        began = time.monotonic()
        for action in actions:
            self._at(began + action.at, lambda action=action: self._begin(action))  # type: ignore[misc]
        while self._steps:
            at, _, step = heapq.heappop(self._steps)
            time.sleep(max(0.0, at - time.monotonic()))
            step()

    def _at(self, when: float, step: Callable[[], None]) -> None:
        heapq.heappush(self._steps, (when, next(self._numbers), step))

    def _later(self, seconds: float, step: Callable[[], None]) -> None:
        self._at(time.monotonic() + seconds, step)

    def _begin(self, action: Action) -> None:
        if action.kind in VICTIMS:
            self._worker(action)
        elif action.kind in (Kind.DUPLICATE, Kind.LATE):
            self._again(action)
        else:
            self._surroundings(action)

    def _worker(self, action: Action) -> None:
        victims = [worker for kind in VICTIMS[action.kind] for worker in self.arena.workers(kind)]
        victim = victims[action.target % len(victims)]
        if not victim.running:
            return
        self.arena.trace.fault(action.kind, f"{victim.name} for {action.length:.1f} s")
        if action.kind is Kind.FREEZE_WORKER:
            pid = freeze(victim)
            self._later(action.length, lambda: thaw(pid))
            return
        victim.kill()
        self._later(action.length, lambda: None if victim.running else victim.start())

    def _again(self, action: Action) -> None:
        heard = self.arena.tap.heard()
        # Late: those of the beginning, whose runs may be over. Duplicate: the newest.
        chosen = heard[: 10 * action.amount] if action.kind is Kind.LATE else heard[-10 * action.amount :]
        self.arena.trace.fault(action.kind, f"{len(chosen)} messages pushed again")
        self.arena.tap.push(chosen)

    def _surroundings(self, action: Action) -> None:
        server, kind, arena = self.arena.redis, action.kind, self.arena
        if kind is Kind.OUTAGE:
            arena.fault("status", "^/internal/", status=503, seconds=action.length)
        elif kind is Kind.CUT_AFTER:
            arena.fault("cut_after", WRITES, method="POST", count=action.amount, seconds=5)
        elif not server.running:
            return
        elif kind is Kind.FREEZE_REDIS:
            arena.trace.fault(kind, f"{action.length:.1f} s")
            os.kill(server.pid, signal.SIGSTOP)
            pid = server.pid
            self._later(action.length, lambda: thaw(pid))
        else:
            _to_redis(arena, action)


def _to_redis(arena: Arena, action: Action) -> None:
    arena.trace.fault(action.kind, f"amount {action.amount}")
    if action.kind is Kind.KILL_REDIS:
        arena.redis.kill()
        arena.redis.start()
    elif action.kind is Kind.CUT_REDIS_LOG:
        cut_log(arena, action.amount)
    else:
        # Frozen just now: then this fault does not take place.
        with contextlib.suppress(redis.RedisError), arena.redis.client(timeout=1.0) as client:
            if action.kind is Kind.FLUSH_REDIS:
                client.flushall()
            elif action.kind is Kind.DROP_UNACKED:
                drop_unacked(arena)
            else:
                client.delete(*DOORBELL_QUEUES)


def drop_unacked(arena: Arena) -> None:
    """Forgets what the workers have taken and not acknowledged."""
    with arena.redis.client() as client:
        client.delete("uw_unacked", "uw_unacked_index")


def cut_log(arena: Arena, size: int) -> None:
    """Loses the last `size` bytes of Redis's log, as a loss of power may: kill, cut, start."""
    arena.redis.kill()
    log = _log(arena)
    with log.open("r+b") as file:
        file.truncate(max(0, log.stat().st_size - size))
    arena.redis.start()


def log_size(arena: Arena) -> int:
    """How many bytes Redis has logged since it last rewrote its log."""
    return _log(arena).stat().st_size


def _log(arena: Arena) -> Path:
    logs = Path(arena.redis.directory, "appendonlydir").glob("*.incr.aof")
    return max(logs, key=lambda path: path.stat().st_mtime)


def freeze(worker: Worker) -> int:
    """Stops a worker's whole group; returns its pid, for `thaw`."""
    pid = worker.process.pid
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGSTOP)
    return pid


def thaw(pid: int) -> None:
    """Lets a stopped group go on, if it is still there."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGCONT)
