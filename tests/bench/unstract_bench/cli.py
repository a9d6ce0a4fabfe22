"""Command line of the bench.

Exit codes: 0 everything that was judged is at its bar (and nothing got worse), 1 something is not (or got worse),
2 wrong arguments, 3 nothing is wrong, but something could not be judged.
"""

import argparse
import json
import sys
from pathlib import Path
from statistics import median

from unstract_bench.compare import Change, Kind, compare
from unstract_bench.document import Run, document, read
from unstract_bench.environment import UnusableInterpreter, interpreter
from unstract_bench.figures import Measure, Verdict
from unstract_bench.page import write_page
from unstract_bench.profiling import profile
from unstract_bench.rounds import Setting
from unstract_bench.run import ALL, FAILURES, make
from unstract_devstack.processes import kept_folder

FOLDER = Path(__file__).resolve().parents[1]
RESULTS = FOLDER / "results.json"
SECONDS, SHORT_SECONDS = 540.0, 300.0
OK, MISSED, NOT_JUDGED = 0, 1, 3


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, judge."""
    given = sys.argv[1:] if arguments is None else arguments
    options = _options()
    chosen = options.parse_args(given)
    try:
        python = interpreter(chosen.python)
    except UnusableInterpreter as error:
        options.error(f"--python: {error}")
    with kept_folder(chosen.keep, prefix="bench-") as directory:
        setting = Setting(
            directory,
            python,
            _report,
            short=chosen.ci,
            curves=chosen.write,
            growth=chosen.growth,
            committed=_results(str(RESULTS)) if RESULTS.exists() else None,
            rounds=chosen.rounds,
            seconds=chosen.seconds or (SHORT_SECONDS if chosen.ci else SECONDS),
        )
        if chosen.profile:
            return _profile(setting, chosen.profile)
        run = make(setting, chosen.only, " ".join(("hatch run bench", *given)))
    changes = tuple(compare(chosen.compare, run)) if chosen.compare else ()
    for line in (*map(_line, run.measures), *map(str, changes)):
        _report(line)
    if chosen.write:
        RESULTS.write_text(json.dumps(document(run), indent=1) + "\n", encoding="utf-8")
        write_page(run, FOLDER)
    if chosen.json:
        sys.stdout.write(json.dumps(document(run)) + "\n")
    return exit_code(run.measures, changes, compared=chosen.compare is not None)


def exit_code(measures: tuple[Measure, ...], changes: tuple[Change, ...], *, compared: bool) -> int:
    """The exit code. A comparison is about what changed: bars that are missed as before do not fail it."""
    verdicts = {measure.verdict for measure in measures}
    kinds = {change.kind for change in changes}
    if Kind.WORSE in kinds or (Verdict.NOT_MET in verdicts and not compared):
        return MISSED
    if Verdict.NOT_JUDGED in verdicts or Kind.NOT_JUDGED in kinds:
        return NOT_JUDGED
    return OK


def _options() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(
        prog="hatch run bench",
        description="Measures the workers (P1 to P12) beside other runners of tasks, in one run.",
    )
    add = options.add_argument
    add("--only", type=_measures, default=frozenset(ALL), help="measures, such as P4,P7")
    add("--ci", action="store_true", help="the short part: fewer executions in P9, no prefork, no 100,000 files in P11")
    add("--growth", action="store_true", help="P11 with 100,000 files in every round, however long it takes")
    add("--rounds", type=int, default=3, help="rounds of each comparison (default 3)")
    seconds = f"no curve or further round is begun after these (default {SECONDS:.0f}, with --ci {SHORT_SECONDS:.0f})"
    add("--seconds", type=float, help=f"{seconds}, no round at all an eighth later")
    add("--json", action="store_true", help="end with one line of JSON on stdout")
    add("--write", action="store_true", help="with curves; write RESULTS.md, its plots and results.json")
    worse = "fail if a figure is worse than in these results (default: the committed ones)"
    add("--compare", type=_results, nargs="?", const=str(RESULTS), help=worse)
    flame = "only write a flame graph of the hot path (default flame.svg)"
    add("--profile", type=Path, nargs="?", const="flame.svg", help=flame)
    add("--keep", type=Path, help="keep logs and data in this new folder")
    add("--python", type=Path, help="the interpreter of all that is measured (default: the system's, where it will do)")
    return options


def _measures(text: str) -> frozenset[str]:
    wanted = frozenset(filter(None, text.upper().replace(" ", "").split(",")))
    if unknown := wanted - set(ALL):
        raise argparse.ArgumentTypeError(f"no such measure: {', '.join(sorted(unknown))}; there are {', '.join(ALL)}")
    return wanted


def _results(path: str) -> Run:
    try:
        return read(json.loads(Path(path).read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise argparse.ArgumentTypeError(f"{path} is not a run's results: {error}") from error


def _profile(setting: Setting, target: Path) -> int:
    try:
        profile(setting, target)
    except FAILURES as error:
        _report(f"no flame graph: {error}")
        return MISSED
    _report(f"flame graph: {target}")
    return OK


def _line(measure: Measure) -> str:
    figure = measure.leading
    value = f"{median(figure.values):.3g} {figure.unit}" if figure.values else "nothing measured"
    beside = f", {median(figure.ratios):.3g} x {figure.baseline_name}" if figure.ratios else ""
    bar = f" (bar {figure.bar:g}{' x' if figure.baseline_name else ''})" if figure.bar else ""
    origin = f", measured on {figure.measured_on}" if figure.measured_on else ""
    return f"{measure.id} {measure.verdict}: {figure.name}: {value}{beside}{bar}, spread {figure.spread:.0%}{origin}"


def _report(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()
