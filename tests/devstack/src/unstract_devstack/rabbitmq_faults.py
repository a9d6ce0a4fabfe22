"""`hatch run rabbitmq-faults`: a real RabbitMQ is killed, cut off and silenced under a running fleet.

Both kinds of queue, each with a broker and a fleet of its own, side by side. Judged as every fault run is.
"""

import argparse
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from unstract_devstack.faults.arena import BROKER, Arena, open_arena
from unstract_devstack.faults.load import Feeder
from unstract_devstack.faults.trial import Trial
from unstract_devstack.processes import kept_folder, wait_until
from unstract_devstack.rabbitmq_server import RabbitHandle, running_rabbitmq

EXECUTIONS = 20
FEED_SECONDS = 40.0
CUT_SECONDS = 4.0
SILENT_SECONDS = 10.0
BETWEEN_SECONDS = 4.0
LONGEST_SECONDS = 600.0
CLASSIC, QUORUM = "classic", "quorum"
"""The kinds of queue that everything may be declared as."""


def attack(directory: Path, queues: str, seed: int, *, brief: bool = False) -> tuple[bool, str]:
    """Kills, cuts and silences RabbitMQ while executions come, and judges them by the backend's history.

    `brief`: once each; else it is killed again after the silence.

    Returns:
        Whether nothing was lost or happened twice, and what there is to say.

    Raises:
        ProcessError: a part did not come back.
    """
    began, options = time.monotonic(), ("--confirm-publish", *(["--quorum-queues"] if queues == QUORUM else []))
    # Beats find a connection that is silent; the shorter, the sooner.
    settings = {"CELERY_BROKER_HEARTBEAT": "4", "RABBITMQ_HA_ENABLED": str(queues == QUORUM).lower()}
    steps = (_kill, _cut, _silence) if brief else (_kill, _cut, _silence, _kill)
    with (
        running_rabbitmq(directory / "rabbitmq") as rabbit,
        # A key is applied once, so that a double is a fault. The platform reaches the broker directly and confirmed.
        open_arena(
            directory, keyed=True, settings=settings, relayed=(BROKER,), broker_url=rabbit.url, backend_options=options
        ) as arena,
    ):
        trial = Trial(arena, seed, deadline=began + LONGEST_SECONDS)
        with trial.load(EXECUTIONS, FEED_SECONDS, most_files=5) as feeder:
            for step in steps:
                _let_some_through(feeder)
                step(arena, rabbit)
            feeder.join()
            arena.heal()
        arena.fleet.check()
    ok, tally = not trial.judged.problems, trial.judged.tally
    counted = f"{tally.executions} executions, {tally.files} files, {len(steps)} faults"
    lines = [f"{'ok' if ok else 'FAILED'}: {queues} queues, {counted}, {time.monotonic() - began:.0f} s"]
    lines += [f"  {step.__doc__}" for step in steps]
    return ok, "\n".join([*lines, *(f"  {problem}" for problem in trial.judged.problems)])


def _let_some_through(feeder: Feeder) -> None:
    before, until = len(feeder.sent), time.monotonic() + BETWEEN_SECONDS
    wait_until(
        lambda: not feeder.is_alive() or (len(feeder.sent) > before and time.monotonic() > until), seconds=30
    )  # fmt: skip


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
    options.add_argument("--queues", choices=[CLASSIC, QUORUM, "both"], default="both")
    options.add_argument("--seed", type=int, default=1, help="sizes of the executions (default 1)")
    options.add_argument("--brief", action="store_true", help="each fault once: half a minute less")
    options.add_argument("--keep", type=Path, help="keep logs and data in this new folder")
    chosen = options.parse_args(arguments)
    kinds = (CLASSIC, QUORUM) if chosen.queues == "both" else (chosen.queues,)
    with kept_folder(chosen.keep, prefix="rabbitmq-faults-") as folder, ThreadPoolExecutor() as threads:
        # Most of a run's time is waiting: for RabbitMQ to start, for silence to be noticed, for retries.
        attacks = [threads.submit(attack, folder / each, each, chosen.seed, brief=chosen.brief) for each in kinds]
        results = [each.result() for each in attacks]
    sys.stdout.write("".join(f"{said}\n" for _, said in results))
    return 0 if all(ok for ok, _ in results) else 1


if __name__ == "__main__":
    sys.exit(main())
