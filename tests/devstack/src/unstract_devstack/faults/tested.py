"""The ids that are proven by tests and not by an experiment: runs these tests beside the rest and reads what they say.

Inside pytest this module is the plugin that notes what each case came to, as it ends, one JSON object a line.
"""

import json
import os
import sys
import time
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path

import cattrs
import pytest
from attrs import asdict, frozen

from unstract_devstack.faults.outcome import FAIL, FIRST, PASS, Outcome, Run
from unstract_devstack.processes import ManagedProcess, inherited_environment

ROOT = Path(__file__).parents[5]
LIST = ROOT / "tests" / "faults" / "ids.toml"
MODE = "tests"
PER_TEST_SECONDS = 180


@frozen
class Tested:
    """An id with the tests that prove it, as file::test; `scaled`: they are less than the page asks for."""

    id: str
    what: str
    tests: tuple[str, ...]
    scaled: bool = False


@frozen
class Noted:
    """What one case of a test came to: "passed", "failed" or "skipped"."""

    test: str
    outcome: str
    seconds: float
    problem: str = ""


def listed() -> dict[str, Tested]:
    content = tomllib.loads(LIST.read_text(encoding="utf-8"))
    return {name: cattrs.structure({"id": name, **each}, Tested) for name, each in content.items()}


def ids_with_tests() -> tuple[str, ...]:
    """The ids that tests prove, first those that must not be missing."""
    return tuple(sorted(listed(), key=lambda each: each not in FIRST))


def run_tests(ids: Sequence[str], directory: Path, deadline: float) -> Run:
    """Runs the tests of these ids until the deadline (monotonic clock), and prints what they came to."""
    folder = directory / "tests"
    folder.mkdir(parents=True)
    notes_path, known = folder / "notes.jsonl", [listed()[each] for each in ids]
    tests = dict.fromkeys(test for each in known for test in each.tests)
    process = ManagedProcess(
        name="the tests",
        command=(
            *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", __name__),
            *("--timeout", str(PER_TEST_SECONDS), "--rootdir", str(ROOT), "--basetemp", str(folder / "temporary")),
            *(str(ROOT / test) for test in tests),
        ),
        environment={**inherited_environment(), "FAULTS_NOTES": str(notes_path)},
        log_path=folder / "tests.log",
    )
    process.start()
    ended = process.wait(seconds=deadline - time.monotonic())
    process.kill()
    notes = list(_read(notes_path))
    if not ended and notes:  # of the last one there may be more cases
        notes = [each for each in notes if each.test != notes[-1].test]
    outcomes = tuple(each for one in known if (each := _outcome(one, notes)) is not None)
    said = [line for each in outcomes for line in (str(each), *(f"{'':>10}{problem}" for problem in each.problems))]
    if left := sorted(set(ids) - {each.id for each in outcomes}):
        why = "not all of their tests were made" if ended else "no time left"
        said.append(f"{','.join(left)}  not run: {why}")
    print("\n".join([*said, *([] if notes else [process.log_tail()])]), flush=True)  # noqa: T201 - beside the lanes
    return Run(outcomes=outcomes)


def _read(path: Path) -> Iterator[Noted]:
    if path.exists():
        for line in path.read_text(encoding="utf-8").splitlines(keepends=True):
            if line.endswith("\n"):
                yield Noted(**json.loads(line))


def _outcome(known: Tested, notes: Sequence[Noted]) -> Outcome | None:
    """The verdict: failed if one failed, passed if each was made and passed; None, not run, for anything less."""
    own = [each for each in notes if each.test in known.tests]
    failed = tuple(f"{each.test}: {each.problem}" for each in own if each.outcome == "failed")
    made = {each.test for each in own if each.outcome == "passed"}
    if not failed and made != set(known.tests):
        return None
    seconds = round(sum(each.seconds for each in own), 1)
    verdict = FAIL if failed else PASS
    return Outcome(known.id, MODE, verdict, known.what, known.scaled, seconds, problems=failed)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Called by pytest after set-up, call and tear-down: the call counts, and each part that does not pass."""
    if report.when != "call" and report.passed:
        return
    problem = (report.longreprtext.strip().splitlines() or [""])[-1] if report.failed else ""
    note = Noted(report.nodeid.partition("[")[0], report.outcome, report.duration, problem)
    with Path(os.environ["FAULTS_NOTES"]).open("a", encoding="utf-8") as file:
        file.write(json.dumps(asdict(note)) + "\n")
