"""Command line of the fault harness."""

import argparse
import sys
from pathlib import Path

from unstract_devstack.faults.checker import AS_REAL, KEYED
from unstract_devstack.faults.runner import Options, run, say
from unstract_devstack.faults.trial import BOTH, EXPERIMENTS
from unstract_devstack.processes import kept_folder

SIZES = {"quick": (230.0, 20, 10), "usual": (570.0, 40, 20), "long": (6 * 3600.0, 600, 300)}
"""Seconds, executions and kills."""


def parser() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(
        prog="python -m unstract_devstack.faults",
        description="Breaks a running fleet by a seed's schedule and counts what was lost or done twice.",
    )
    options.add_argument("--seed", type=int, default=1, help="the same seed gives the same schedule (default 1)")
    options.add_argument("--executions", type=int, help="executions of the random run, per mode (default 40)")
    options.add_argument("--kills", type=int, help="kills of workers in the random run, per mode (default 20)")
    options.add_argument("--only", default="", help="ids of experiments, such as R5,R11")
    options.add_argument("--mode", choices=(AS_REAL, KEYED, "both"), default="both", help="how the backend treats keys")
    options.add_argument("--json", action="store_true", help="end with one line of JSON")
    options.add_argument("--seconds", type=float, help="bound of the whole run (default 570)")
    options.add_argument("--quick", action="store_true", help="a smaller selection, under 4 minutes")
    options.add_argument("--long", action="store_true", help="full sizes; takes hours")
    options.add_argument("--save", type=Path, help="write everything about the run to this file, for the report")
    options.add_argument("--keep", type=Path, help="keep logs and data in this new folder")
    return options


def options_of(chosen: argparse.Namespace) -> Options:
    seconds, executions, kills = SIZES["long" if chosen.long else "quick" if chosen.quick else "usual"]
    return Options(
        seed=chosen.seed,
        executions=chosen.executions or executions,
        kills=kills if chosen.kills is None else chosen.kills,
        modes=BOTH if chosen.mode == "both" else (chosen.mode,),
        seconds=chosen.seconds or seconds,
        chosen=frozenset(filter(None, chosen.only.replace(" ", "").upper().split(","))),
        quick=chosen.quick,
        full=chosen.long,
    )


def main(arguments: list[str] | None = None) -> int:
    """Runs; 0 if nothing that ran has failed, 2 if nothing was to be run."""
    chosen = parser().parse_args(arguments)
    options = options_of(chosen)
    if not options.lanes() and not options.tested():
        made = {each: EXPERIMENTS[each].modes for each in sorted(options.chosen & EXPERIMENTS.keys())}
        offered = "; ".join(f"{each} is made in {' and '.join(modes)}" for each, modes in made.items())
        say(f"nothing to run: no experiment of {', '.join(sorted(options.chosen))} in this mode. {offered}".rstrip())
        return 2
    with kept_folder(chosen.keep, prefix="faults-") as directory:
        result = run(options, directory)
    say(f"{'ok' if result.ok else 'FAILED'}: seed {result.seed}, {result.seconds:.0f} s")
    if chosen.save:
        chosen.save.write_text(result.saved(), encoding="utf-8")
    if chosen.json:
        say(result.line())
    return 0 if result.ok else 1


if __name__ == "__main__":
    sys.exit(main())
