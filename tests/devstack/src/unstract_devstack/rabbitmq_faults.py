"""`hatch run rabbitmq-faults`: a real RabbitMQ is killed, cut off and silenced under a running fleet.

Both kinds of queue, each with a broker and a fleet of its own, side by side. Judged as every fault run is.
"""

import argparse
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from enum import StrEnum
from pathlib import Path

from attrs import define, field

from unstract_devstack.faults.arena import BROKER, Arena, open_arena
from unstract_devstack.faults.checker import Judged
from unstract_devstack.faults.load import Feeder, new_tenant
from unstract_devstack.processes import kept_folder, wait_until
from unstract_devstack.rabbitmq_server import RabbitHandle, running_rabbitmq

EXECUTIONS = 20
FEED_SECONDS = 40.0
CUT_SECONDS = 4.0
SILENT_SECONDS = 10.0
BETWEEN_SECONDS = 4.0


class Queues(StrEnum):
    """Which kind of queue everything is declared as."""

    CLASSIC = "classic"
    QUORUM = "quorum"


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
    began, quorum, options = time.monotonic(), queues is Queues.QUORUM, ["--confirm-publish"]
    # Beats find a connection that is silent; the shorter, the sooner.
    settings = {"CELERY_BROKER_HEARTBEAT": "4", "RABBITMQ_HA_ENABLED": str(quorum).lower()}
    if quorum:
        options.append("--quorum-queues")
    with (
        running_rabbitmq(directory / "rabbitmq") as rabbit,
        # A key is applied once, so that a double is a fault. The platform reaches the broker directly and confirmed.
        open_arena(
            directory, keyed=True, settings=settings, relayed=(BROKER,), broker_url=rabbit.url, backend_options=options
        ) as arena,
    ):
        tenant = new_tenant(arena)
        feeder = Feeder(tenant, seed, EXECUTIONS, FEED_SECONDS, most_files=5)
        feeder.start()
        done = []
        for step in (_kill, _cut, _silence) if brief else (_kill, _cut, _silence, _kill):
            _let_some_through(feeder)
            step(arena, rabbit)
            done.append((step.__doc__ or "").splitlines()[0])
        sent = feeder.join()
        arena.heal()
        judged = arena.settled(sent)
        arena.fleet.check()
    return Attack(queues, judged, time.monotonic() - began, done)


def _let_some_through(feeder: Feeder) -> None:
    before, until = len(feeder.sent), time.monotonic() + BETWEEN_SECONDS
    wait_until(lambda: feeder.done or (len(feeder.sent) > before and time.monotonic() > until), seconds=30)


def _kill(arena: Arena, rabbit: RabbitHandle) -> None:
    """RabbitMQ is killed (SIGKILL) and started again."""
    rabbit.kill()
    rabbit.start()


def _cut(arena: Arena, rabbit: RabbitHandle) -> None:
    """Every connection of the workers is cut, again and again for 4 s."""
    until = time.monotonic() + CUT_SECONDS
    while time.monotonic() < until:
        arena.relays[BROKER].hang_up()
        time.sleep(0.2)


def _silence(arena: Arena, rabbit: RabbitHandle) -> None:
    """Nothing passes between workers and broker for 10 s, and what was connected stays silent for ever."""
    arena.relays[BROKER].silence()
    time.sleep(SILENT_SECONDS)
    arena.relays[BROKER].heal()


def main(arguments: list[str] | None = None) -> int:
    """Runs; 0 if nothing was lost and nothing happened twice."""
    options = argparse.ArgumentParser(prog="python -m unstract_devstack.rabbitmq_faults", description=__doc__)
    options.add_argument("--queues", choices=[*Queues, "both"], default="both")
    options.add_argument("--seed", type=int, default=1, help="sizes of the executions (default 1)")
    options.add_argument("--brief", action="store_true", help="each fault once: half a minute less")
    options.add_argument("--keep", type=Path, help="keep logs and data in this new folder")
    chosen = options.parse_args(arguments)
    kinds = list(Queues) if chosen.queues == "both" else [Queues(chosen.queues)]
    with kept_folder(chosen.keep, prefix="rabbitmq-faults-") as folder, ThreadPoolExecutor() as threads:
        for queues in kinds:
            (folder / queues).mkdir()
        # Most of a run's time is waiting: for RabbitMQ to start, for silence to be noticed, for retries.
        attacks = [threads.submit(attack, folder / each, each, chosen.seed, brief=chosen.brief) for each in kinds]
        results = [each.result() for each in attacks]
    for result in results:
        _say(result)
    return 0 if all(result.ok for result in results) else 1


def _say(result: Attack) -> None:
    tally = result.judged.tally
    verdict = "ok" if result.ok else "FAILED"
    counted = f"{tally.executions} executions, {tally.files} files, {len(result.faults)} faults"
    lines = [f"{verdict}: {result.queues} queues, {counted}, {result.seconds:.0f} s"]
    lines.extend(f"  {fault}" for fault in result.faults)
    lines.extend(f"  {problem.text} ({problem.execution_id})" for problem in result.judged.problems)
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
