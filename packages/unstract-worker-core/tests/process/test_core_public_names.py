"""The public names of core: a change of this list is a decision, and a removal needs a new major version."""

import subprocess
import sys

import pytest

import unstract_worker_core

PUBLIC = {
    "Backend", "BackendError", "BackendRefused", "BackendUnavailable", "ConfigurationError", "Delivery",
    "ExecutionStatus", "LeaseLost", "Ledger", "LedgerError", "LedgerUnavailable", "MessageError", "NotFound",
    "OutcomeUnknown", "RunKind", "Runtime", "Settings", "SteppedAside", "UnexpectedAnswer", "WorkerDefinition",
    "WorkerError", "WorkerType", "__version__", "add_task", "command_line", "load_settings", "retry_until_accepted",
}  # fmt: skip


def test_these_names_are_public():
    assert set(unstract_worker_core.__all__) == PUBLIC
    for name in PUBLIC:
        assert getattr(unstract_worker_core, name) is not None


def test_any_other_name_is_missing():
    with pytest.raises(AttributeError, match="has no attribute 'no_such_name'"):
        _ = unstract_worker_core.no_such_name


def test_importing_the_package_imports_nothing_else():
    program = (
        "import sys, unstract_worker_core; print([m for m in sys.modules if m.startswith('unstract_worker_core.')])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
