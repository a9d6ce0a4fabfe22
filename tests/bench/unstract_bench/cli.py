"""Command line of the bench.

Exit codes: 0 everything that was judged is at its bar (and nothing got worse), 1 something is not (or got worse),
2 wrong arguments, 3 nothing is wrong, but something could not be judged.
"""

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import median
from subprocess import SubprocessError

from unstract_bench.compare import Change, Kind, compare
from unstract_bench.document import Run, document, read
from unstract_bench.figures import Measure, Verdict
from unstract_bench.interpreter import Unfit, elsewhere
from unstract_bench.making import ALL, make
from unstract_bench.page import write_page
from unstract_bench.profiling import profile
from unstract_bench.rig import NotDone
from unstract_bench.setting import Setting
from unstract_devstack.http_calls import CallFailed
from unstract_devstack.kept_folder import kept_folder
from unstract_devstack.processes import ProcessError

__all__ = ["main"]

FOLDER = Path(__file__).resolve().parents[1]
RESULTS = FOLDER / "results.json"
SECONDS, SHORT_SECONDS = 380.0, 180.0
OK, MISSED, NOT_JUDGED = 0, 1, 3


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    options = argparse.ArgumentParser(
        prog="hatch run bench", description="Measures the workers (P1 to P8) beside other runners of tasks, in one run."
    )
    options.add_argument("--only", help="measures, such as P4,P7")
    options.add_argument("--ci", action="store_true", help="the short part: no curves, no prefork; under 4 minutes")
    options.add_argument("--rounds", type=int, default=3, help="rounds of each comparison (default 3)")
    options.add_argument(
        "--seconds",
        type=float,
        help="no curve or further round is begun after these (default 380, with --ci 180), no round at all an eighth later",
    )
    options.add_argument("--json", action="store_true", help="end with one line of JSON on stdout")
    options.add_argument("--write", action="store_true", help="write tests/bench/RESULTS.md, its plots, results.json")
    options.add_argument(
        "--compare", type=Path, nargs="?", const=RESULTS, help="fail if a figure is worse than in these results"
    )
    options.add_argument(
        "--profile", type=Path, nargs="?", const=Path("flame.svg"), help="only write a flame graph of the hot path"
    )
    options.add_argument("--keep", type=Path, help="keep logs and data in this new folder")
    options.add_argument(
        "--python", type=Path, help="the interpreter of all that is measured (default: the system's, where it will do)"
    )
    return options


def main(arguments: list[str] | None = None) -> int:
    """Measure, tell, judge."""
    given = sys.argv[1:] if arguments is None else arguments
    options = parser()
    chosen = options.parse_args(given)
    wanted = _wanted(chosen.only, options.error)
    before = _read(chosen.compare, options.error) if chosen.compare else None
    code = _elsewhere(chosen.python, given, options.error)
    if code is not None:
        return code
    with kept_folder(chosen.keep, prefix="bench-") as directory:
        seconds = chosen.seconds or (SHORT_SECONDS if chosen.ci else SECONDS)
        setting = Setting(directory, _say, short=chosen.ci, rounds=chosen.rounds, seconds=seconds)
        if chosen.profile:
            return _profiled(setting, chosen.profile)
        run = make(setting, wanted, " ".join(("hatch run bench", *given)))
    return _told(run, before, as_json=chosen.json, write=chosen.write)


def _elsewhere(python: Path | None, given: list[str], refuse: Callable[[str], object]) -> int | None:
    try:
        return elsewhere(python, tuple(given))
    except Unfit as error:
        refuse(f"--python: {error}")
    except SubprocessError as error:
        if python is not None:
            refuse(f"--python: what is installed here could not be installed for {python}: {error}")
        _say(f"the system's interpreter cannot have what is installed here, so this one it is: {error}")
    return None


def _profiled(setting: Setting, target: Path) -> int:
    try:
        profile(setting, target)
    except (ProcessError, NotDone, CallFailed) as error:
        _say(f"no flame graph: {error}")
        return MISSED
    _say(f"flame graph: {target}")
    return OK


def _told(run: Run, before: Run | None, *, as_json: bool, write: bool) -> int:
    for measure in run.measures:
        _say(_line(measure))
    changes = compare(before, run) if before else ()
    for change in changes:
        _say(str(change))
    if write:
        content = json.dumps(document(run), indent=1) + "\n"
        RESULTS.write_text(content, encoding="utf-8")
        write_page(run, FOLDER)
    if as_json:
        sys.stdout.write(json.dumps(document(run)) + "\n")
    return exit_code(run.measures, changes, compared=before is not None)


def exit_code(measures: tuple[Measure, ...], changes: tuple[Change, ...], *, compared: bool) -> int:
    """The exit code. A comparison is about what changed: bars that are missed as before do not fail it."""
    verdicts = {measure.verdict for measure in measures}
    kinds = {change.kind for change in changes}
    if Kind.WORSE in kinds or (Verdict.NOT_MET in verdicts and not compared):
        return MISSED
    if Verdict.NOT_JUDGED in verdicts or Kind.NOT_JUDGED in kinds:
        return NOT_JUDGED
    return OK


def _line(measure: Measure) -> str:
    figure = measure.leading
    value = f"{median(figure.values):.3g} {figure.unit}" if figure.values else "nothing measured"
    beside = f", {median(figure.ratios):.3g} x {figure.baseline_name}" if figure.ratios else ""
    bar = f" (bar {figure.held.bar:g}{' x' if figure.held.ratio else ''})" if figure.held else ""
    return f"{measure.id} {measure.verdict}: {figure.name}: {value}{beside}{bar}, spread {figure.spread:.0%}"


def _wanted(only: str | None, refuse: Callable[[str], object]) -> frozenset[str]:
    wanted = frozenset(filter(None, (only or "").upper().replace(" ", "").split(","))) or frozenset(ALL)
    unknown = wanted - set(ALL)
    if unknown:
        refuse(f"--only: no such measure: {', '.join(sorted(unknown))}; there are {', '.join(ALL)}")
    return wanted


def _read(path: Path, refuse: Callable[[str], object]) -> Run | None:
    try:
        return read(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError) as error:
        refuse(f"--compare: {path} is not a run's results: {error}")
    return None


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()
