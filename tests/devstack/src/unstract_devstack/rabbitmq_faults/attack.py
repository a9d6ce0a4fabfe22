"""What is done to the broker under load, and what becomes of the executions."""

import time
from collections.abc import Callable
from pathlib import Path

from attrs import define, field

from unstract_devstack.faults.load import Feeder, new_tenant
from unstract_devstack.faults.tally import Judged
from unstract_devstack.processes import wait_until
from unstract_devstack.rabbitmq_faults.ground import Ground, Queues, open_ground

EXECUTIONS = 20
FEED_SECONDS = 40.0
CUT_SECONDS = 4.0
SILENT_SECONDS = 10.0
BETWEEN_SECONDS = 4.0


@define
class Attack:
    """One run on one kind of queue: what was done, how long it took, the verdict."""

    queues: Queues
    judged: Judged
    seconds: float
    faults: list[str] = field(factory=list)

    @property
    def ok(self) -> bool:
        """Whether nothing was lost or happened twice."""
        return not self.judged.problems


def attack(directory: Path, queues: Queues, seed: int, *, brief: bool = False) -> Attack:
    """Kills, cuts and silences RabbitMQ while executions come, and judges them by the backend's history.

    `brief`: once each; else it is killed again after the silence.

    Raises:
        ProcessError: a part did not come back.
    """
    began = time.monotonic()
    with open_ground(directory, queues) as ground:
        tenant = new_tenant(ground.arena)
        feeder = Feeder(tenant, seed, EXECUTIONS, FEED_SECONDS, most_files=5)
        feeder.start()
        done = []
        for step in (_kill, _cut, _silence) if brief else (_kill, _cut, _silence, _kill):
            _let_some_through(feeder)
            step(ground)
            done.append((step.__doc__ or "").splitlines()[0])
        sent = feeder.join()
        ground.arena.heal()
        judged = ground.arena.settled(sent)
        ground.arena.fleet.check()
    return Attack(queues, judged, time.monotonic() - began, done)


def _let_some_through(feeder: Feeder) -> None:
    before, until = len(feeder.sent), time.monotonic() + BETWEEN_SECONDS
    wait_until(lambda: feeder.done or (len(feeder.sent) > before and time.monotonic() > until), seconds=30)


def _kill(ground: Ground) -> None:
    """RabbitMQ is killed (SIGKILL) and started again."""
    ground.rabbit.kill()
    ground.rabbit.start()


def _cut(ground: Ground) -> None:
    """Every connection of the workers is cut, again and again for 4 s."""
    _during(CUT_SECONDS, ground.relay.hang_up)


def _silence(ground: Ground) -> None:
    """Nothing passes between workers and broker for 10 s, and what was connected stays silent for ever."""
    ground.relay.silence()
    time.sleep(SILENT_SECONDS)
    ground.relay.heal()


def _during(seconds: float, step: Callable[[], None]) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        step()
        time.sleep(0.2)
