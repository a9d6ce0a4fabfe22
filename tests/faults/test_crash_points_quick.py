"""A few crash points of each worker, on real processes; `hatch run faults:crash-points` tries them all."""

from collections.abc import Iterator

import pytest

from unstract_devstack.crash_points.bench import Bench, open_bench
from unstract_devstack.crash_points.places import Place, Trial
from unstract_devstack.faults.checker import KEYED
from unstract_devstack.fleet import API_DEPLOYMENT, CALLBACK, FILE_PROCESSING, GENERAL

TRIALS = (
    Trial("ledger.accept.before", Place(API_DEPLOYMENT, "api")),
    Trial("ledger.arm.after", Place(API_DEPLOYMENT, "api")),
    Trial("backend.execution.create.after", Place(GENERAL, "schedule")),
    Trial("webhook.post.after", Place(GENERAL, "api")),
    Trial("backend.execute-file.after", Place(FILE_PROCESSING, "api")),
    Trial("ledger.complete_batch.after", Place(FILE_PROCESSING, "api", 2)),
    Trial("api_results.replace.staged", Place(CALLBACK, "api")),
    Trial("backend.workflow-execution.update_status.after", Place(CALLBACK, "api")),
)


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with open_bench(tmp_path_factory.mktemp("ground"), KEYED) as bench:
        yield bench


@pytest.mark.parametrize("trial", TRIALS, ids=str)
def test_a_kill_changes_nothing(bench, trial):
    verdict = bench.make(trial)

    assert verdict.reached
    assert verdict.problems == ()
