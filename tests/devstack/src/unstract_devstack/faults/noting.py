"""A plugin for pytest that notes what each case of each test came to, as it ends, one JSON object a line."""

import json
import os
from pathlib import Path

import pytest


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Called by pytest after set-up, call and tear-down: the call counts, and whatever does not pass."""
    if report.when != "call" and report.passed:
        return
    problem = (report.longreprtext.strip().splitlines() or [""])[-1] if report.failed else ""
    note = {
        "test": report.nodeid.partition("[")[0],
        "outcome": report.outcome,
        "seconds": report.duration,
        "problem": problem,
    }
    with Path(os.environ["FAULTS_NOTES"]).open("a", encoding="utf-8") as file:
        file.write(json.dumps(note) + "\n")
