"""`hatch run rabbitmq-faults`: both kinds of queue, one after the other."""

import argparse
import sys
import tempfile
from pathlib import Path

from unstract_devstack.rabbitmq_faults.attack import Attack, attack
from unstract_devstack.rabbitmq_faults.ground import Queues


def main(arguments: list[str] | None = None) -> int:
    """Runs; 0 if nothing was lost and nothing happened twice."""
    options = argparse.ArgumentParser(prog="python -m unstract_devstack.rabbitmq_faults", description=__doc__)
    options.add_argument("--queues", choices=[*Queues, "both"], default="both")
    options.add_argument("--seed", type=int, default=1, help="sizes of the executions (default 1)")
    options.add_argument("--keep", type=Path, help="keep logs and data in this new folder")
    chosen = options.parse_args(arguments)
    kinds = list(Queues) if chosen.queues == "both" else [Queues(chosen.queues)]
    with tempfile.TemporaryDirectory(prefix="rabbitmq-faults-", ignore_cleanup_errors=True) as name:
        folder = chosen.keep or Path(name)
        for queues in kinds:
            (folder / queues).mkdir(parents=True)
        results = [attack(folder / queues, queues, chosen.seed) for queues in kinds]
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
