"""`hatch run faults:crash-points`: kills a worker at every crash point there is, and shows what came of it.

The points are the workers' own list. Exit code 0: at each of them the worker died and the history shows nothing of it.
"""

import argparse
import json
import random
import subprocess
import sys
import time
from collections.abc import Sequence

from attrs import asdict

from unstract_devstack.crash_points.bench import Verdict
from unstract_devstack.crash_points.fleets import verdicts_on
from unstract_devstack.crash_points.places import Trial, UnknownPoint, trials
from unstract_devstack.processes import inherited_environment, kept_folder

LIST = (sys.executable, "-m", "unstract_worker_core.failpoints")


def parser() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(prog="python -m unstract_devstack.crash_points", description=__doc__)
    options.add_argument("--only", action="append", default=[], metavar="NAME", help="points that begin with this")
    options.add_argument("--list", action="store_true", help="name the trials and make none")
    options.add_argument("--json", action="store_true", help="one JSON object on stdout, the rest on stderr")
    options.add_argument("--fleets", type=int, default=3, help="how many fleets side by side")
    options.add_argument("--seconds", type=float, help="begin no trial after this; the others are left out and counted")
    options.add_argument("--seed", type=int, help="in an order drawn from this, so that a bounded run is a sample")
    return options


def points() -> dict[str, str]:
    """The workers' crash points with what lies there."""
    listed = subprocess.run(LIST, env=inherited_environment(), capture_output=True, text=True, check=True).stdout
    return dict(line.split("\t", 1) for line in listed.splitlines())


def chosen(only: Sequence[str], seed: int | None = None) -> list[Trial]:
    """The trials of all points, or of those that begin with one of these. Raises UnknownPoint."""
    names = points()
    for prefix in only:
        if not any(name.startswith(prefix) for name in names):
            raise UnknownPoint(f"no crash point begins with {prefix!r}: --list names them")
    found = [trial for trial in trials(names) if not only or trial.point.startswith(tuple(only))]
    if seed is not None:
        random.Random(seed).shuffle(found)
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    try:
        wanted = chosen(options.only, options.seed)
    except UnknownPoint as error:
        sys.stderr.write(f"{error}\n")
        return 1
    if options.list:
        sys.stdout.writelines(f"{trial}\n" for trial in wanted)
        return 0
    began = time.monotonic()
    ends = None if options.seconds is None else began + options.seconds
    with kept_folder(None, prefix="crash-points-") as folder:
        verdicts = list(verdicts_on(wanted, folder, fleets=options.fleets, ends=ends))
    out = sys.stderr if options.json else sys.stdout
    out.writelines(f"{each}\n" for each in verdicts)
    number, good = len({each.point for each in verdicts}), sum(each.ok for each in verdicts)
    out.write(f"{number} crash points, {len(verdicts)} trials, {good} ok, {len(verdicts) - good} not\n")
    if len(verdicts) < len(wanted):
        sys.stderr.write(f"{len(wanted) - len(verdicts)} of {len(wanted)} trials were not made: --seconds was over\n")
    sys.stderr.write(f"in {time.monotonic() - began:.0f} s\n")
    if options.json:
        sys.stdout.write(summary(verdicts) + "\n")
    return 0 if verdicts and all(verdict.ok for verdict in verdicts) else 1


def summary(verdicts: Sequence[Verdict]) -> str:
    content = {
        "ok": bool(verdicts) and all(each.ok for each in verdicts),
        "points": len({each.point for each in verdicts}),
        "trials": len(verdicts),
        "reached": sum(each.reached for each in verdicts),
        "slowest_seconds": max((each.seconds for each in verdicts), default=0.0),
        "wrong": [asdict(each) for each in verdicts if not each.ok],
    }
    return json.dumps(content)


if __name__ == "__main__":
    sys.exit(main())
