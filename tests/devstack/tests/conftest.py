"""The development stack is no part of the coverage: its processes, and the workers in them, run without it."""

import pytest


@pytest.fixture(autouse=True)
def _uncovered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COVERAGE_PROCESS_CONFIG", raising=False)
