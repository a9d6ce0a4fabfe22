"""`hatch run rabbitmq-faults`: both kinds of queue, each with a broker and a fleet of its own, side by side."""

import argparse
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from unstract_devstack.processes import kept_folder
from unstract_devstack.rabbitmq_faults.attack import Attack, Queues, attack


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
