"""A few crash points of each worker, on real processes; `hatch run faults:crash-points` tries them all."""

from collections.abc import Iterator

import pytest

from unstract_devstack.crash_points.ground import open_ground
from unstract_devstack.crash_points.places import KEYED, Place, Trial
from unstract_devstack.crash_points.trial import Bench
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
    with open_ground(tmp_path_factory.mktemp("ground"), KEYED) as ground:
        yield Bench(ground)


@pytest.mark.parametrize("trial", TRIALS, ids=str)
def test_a_kill_changes_nothing(bench, trial):
    verdict = bench.make(trial)

    assert verdict.reached
    assert verdict.problems == ()
