"""How `hatch run test` shares its tests between processes."""

import pytest
from xdist.scheduler import LoadScopeScheduling

# These share one fleet, which one process starts.
SHARING = {f"tests/acceptance/test_acceptance_{name}.py" for name in ("api", "monitoring", "pipelines")}
# They wait longest, so that they begin first: the rest fills the time.
LONGEST = (
    "packages/unstract-worker-core/tests/worker/test_core_app_process.py",
    "packages/unstract-worker-core/tests/worker/test_core_app_metrics.py",
    "packages/unstract-worker-core/tests/process/test_core_redis_faults.py",
    "tests/acceptance/test_acceptance_api.py",
    "tests/acceptance/test_acceptance_monitoring.py",
    "tests/acceptance/test_acceptance_pipelines.py",
    "packages/unstract-worker-callback/tests/test_callback_troubles.py",
    "tests/devstack/tests/tools/test_devstack_up.py",
    "tests/devstack/tests/tools/test_devstack_demo_cli.py",
    "packages/unstract-worker-file-processing/tests/platform/test_platform_files.py",
    "packages/unstract-worker-core/tests/worker/test_core_app_settings.py",
    "tests/acceptance/test_acceptance_chord.py",
    "packages/unstract-worker-core/tests/worker/test_core_sharing.py",
    "packages/unstract-worker-core/tests/ledger/test_core_ledger_machine.py",
    "tests/devstack/tests/tools/test_devstack_demo_run.py",
    "packages/unstract-worker-file-processing/tests/platform/test_platform_stores.py",
    "tests/acceptance/test_acceptance_starvation.py",
    "tests/acceptance/test_acceptance_rescue.py",
    "tests/acceptance/test_acceptance_drain.py",
)


class _Scheduling(LoadScopeScheduling):  # type: ignore[misc] # xdist has no types
    """One file's tests stay in one process, and so do those that share a fleet."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.split("::", 1)[0]
        return "the acceptance's fleet" if file in SHARING else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> LoadScopeScheduling | None:
    """Replaces the scheduling of `--dist loadfile`."""
    return _Scheduling(config, log) if config.getvalue("dist") == "loadfile" else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts the files that take longest first; the order within a file stays."""
    ranks = {name: rank for rank, name in enumerate(LONGEST)}
    items.sort(key=lambda item: ranks.get(item.nodeid.split("::", 1)[0], len(ranks)))


def pytest_report_header(config: pytest.Config) -> str | None:
    """Says at the start how long the whole takes."""
    whole = config.args_source is pytest.Config.ArgsSource.TESTPATHS
    return "the whole takes five to six minutes on two cores" if whole else None
