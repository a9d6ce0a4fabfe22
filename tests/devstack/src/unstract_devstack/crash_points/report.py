"""The verdicts as a table for people, or as one JSON object."""

import json
from collections.abc import Sequence
from typing import IO

from attrs import asdict

from unstract_devstack.crash_points.trial import Verdict


def show(verdicts: Sequence[Verdict], out: IO[str]) -> None:
    """A line for each trial, what went wrong below it, and the sum."""
    width = max((len(each.trial) for each in verdicts), default=0)
    for each in verdicts:
        word = "ok" if each.ok else "WRONG" if each.reached else "NOT REACHED"
        out.write(f"{each.trial:<{width}}  {'reached' if each.reached else '-':<7}  {each.seconds:5.1f} s  {word}\n")
        out.writelines(f"    {problem}\n" for problem in each.problems)
    points = {each.point for each in verdicts}
    good = sum(each.ok for each in verdicts)
    out.write(f"{len(points)} crash points, {len(verdicts)} trials, {good} ok, {len(verdicts) - good} not\n")


def summary(verdicts: Sequence[Verdict]) -> str:
    """One line of JSON."""
    content = {
        "ok": bool(verdicts) and all(each.ok for each in verdicts),
        "points": len({each.point for each in verdicts}),
        "trials": len(verdicts),
        "reached": sum(each.reached for each in verdicts),
        "slowest_seconds": max((each.seconds for each in verdicts), default=0.0),
        "wrong": [asdict(each) for each in verdicts if not each.ok],
    }
    return json.dumps(content)
