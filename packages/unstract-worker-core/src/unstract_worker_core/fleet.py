"""The live workers: each writes a small heartbeat into the ledger's Redis, from which all of them can be listed.

Remote control is off, so Celery's ``inspect`` answers nothing; this is what operators ask instead. The protocol does
not depend on it.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from attrs import evolve, frozen
from redis import Redis

from unstract_worker_core import serialization
from unstract_worker_core.errors import MessageError
from unstract_worker_core.redis import call_redis

ALIVE_SECONDS = 15.0
"""A worker whose last heartbeat is older is gone; heartbeats come every five seconds."""
_KEPT_SECONDS = 300.0
_WEEK = 7 * 86400.0
_MEMBERS, _QUEUES = "uw:fleet", "uw:fleet:queues"


@frozen(kw_only=True)
class Heartbeat:
    """The state that a worker reports.

    Attributes:
        worker: the type, such as ``callback``.
        hostname: as the metrics label it.
        slots: tasks that it runs at a time; `running`: tasks that it runs now.
        idle_seconds: since its last claim or step forward.
        backend: state of its circuit breaker: ``closed``, ``open`` or ``half-open``.
        silent_calls: calls that have waited for an answer for more than a minute, in words.
        up_seconds: since its start.
        at: Redis's clock, in seconds; set when it is written.
    """

    instance: str
    worker: str
    version: str
    core_version: str
    hostname: str
    pid: int
    slots: int
    running: int
    idle_seconds: float
    backend: str
    queues: tuple[str, ...] = ()
    silent_calls: tuple[str, ...] = ()
    up_seconds: float = 0.0
    at: float = 0.0


@frozen
class FleetMember:
    """A worker and the age of its last heartbeat."""

    heartbeat: Heartbeat
    age_seconds: float

    @property
    def alive(self) -> bool:
        """Whether its last heartbeat is recent."""
        return self.age_seconds <= ALIVE_SECONDS


def missing(members: Sequence[FleetMember]) -> tuple[Heartbeat, ...]:
    """The vanished workers that were not replaced: by one of their type that started on their host since.

    Each replaces one. A container that restarts is replaced, one of two nodes on a host that dies is not.
    """
    found = []
    free = [member.heartbeat for member in members]
    for gone in sorted((each.heartbeat for each in members if not each.alive), key=lambda beat: -beat.at):
        place = (gone.worker, gone.hostname)
        later = (each for each in free if (each.worker, each.hostname) == place and each.at - each.up_seconds > gone.at)
        successor = next(later, None)
        if successor is None:
            found.append(gone)
        else:
            free.remove(successor)
    return tuple(found)


class Fleet:
    """Heartbeats in one Redis. All methods raise LedgerError where it does not answer."""

    def __init__(self, redis: Redis) -> None:
        self._redis: Any = redis

    def beat(self, token: str, heartbeat: Heartbeat) -> None:
        """Write a worker's heartbeat under its token, and forget workers that are gone for five minutes."""

        def write() -> None:
            now = self._now()
            with self._redis.pipeline(transaction=False) as pipe:
                pipe.hset(_MEMBERS, token, serialization.encode(evolve(heartbeat, at=now)))
                if heartbeat.queues:
                    pipe.zadd(_QUEUES, dict.fromkeys(heartbeat.queues, now))
                pipe.execute()
            gone = [other for other, member in self._read(now) if member.age_seconds > _KEPT_SECONDS]
            if gone:
                self._redis.hdel(_MEMBERS, *gone)
            unused = [name for name, at in self._redis.zrange(_QUEUES, 0, -1, withscores=True) if at < now - _WEEK]
            if unused:
                self._redis.zrem(_QUEUES, *unused)

        call_redis(self._redis, "fleet_beat", write)

    def leave(self, token: str) -> None:
        """Remove a worker that ends by itself."""
        call_redis(self._redis, "fleet_leave", lambda: self._redis.hdel(_MEMBERS, token), repeatable=False)

    def members(self) -> tuple[FleetMember, ...]:
        """All workers of the last five minutes, by type, instance and process."""
        found = call_redis(self._redis, "fleet", lambda: [member for _, member in self._read(self._now())])
        beats = [(each.heartbeat.worker, each.heartbeat.instance, each.heartbeat.pid, each) for each in found]
        return tuple(each for *_, each in sorted(beats, key=lambda beat: beat[:3]))

    def queues(self) -> tuple[str, ...]:
        """The queues that any worker has consumed within a week."""
        return call_redis(self._redis, "fleet_queues", lambda: tuple(self._redis.zrange(_QUEUES, 0, -1)))

    def _now(self) -> float:
        seconds, micros = self._redis.time()
        return float(seconds) + float(micros) / 1e6

    def _read(self, now: float) -> Iterator[tuple[str, FleetMember]]:
        for token, text in self._redis.hgetall(_MEMBERS).items():
            try:
                heartbeat = serialization.decode(text, Heartbeat)
            except MessageError:  # of a newer release
                continue
            # One from the future was written before the server's clock was set back: a living worker writes another.
            yield token, FleetMember(heartbeat, abs(now - heartbeat.at))
