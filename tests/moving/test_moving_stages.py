"""Each stage of moving over shows the API caller, and the pipelines, what the all-today fleet shows them."""

import contextlib

import pytest

from unstract_devstack.fleet import API_DEPLOYMENT, CALLBACK, FILE_PROCESSING, GENERAL, WORKERS
from unstract_devstack.today.scenario import everything

# Each starts fleets of its own, the first one everything that they stand on.
pytestmark = pytest.mark.timeout(400)

NAMES = tuple(kind.name for kind in WORKERS)
# The order that docker/MOVING.md gives, and the two that leave it at one worker: one type after the other is today's.
# Our orchestrators ring our own file workers and callbacks, so that those two come first.
STAGES = {
    "callback": (CALLBACK,),
    "file-processing": (CALLBACK, FILE_PROCESSING),
    "file-processing alone": (FILE_PROCESSING,),
    "general": (CALLBACK, FILE_PROCESSING, GENERAL),
    "api-deployment": (CALLBACK, FILE_PROCESSING, API_DEPLOYMENT),
    "all": WORKERS,
}


@pytest.fixture(scope="module")
def reference(ground):
    with ground.theirs(NAMES):
        return everything(ground.tenant())


def test_the_reference_is_what_the_contract_says(reference):
    mixed = reference["mixed"]
    assert (mixed.status, mixed.total, mixed.successful, mixed.failed, mixed.executed) == ("COMPLETED", 5, 3, 2, 5)
    assert [item.file for item in mixed.items] == ["a.txt", "b.csv", "broken.pdf", "c.json", "empty.txt"]
    assert '"total": "12.50"' in mixed.items[0].output
    assert mixed.items[2].error.startswith("Workflow error:")
    assert (reference["failing"].status, reference["failing"].failed) == ("ERROR", 2)
    assert (reference["first"].executed, reference["again"].executed) == (1, 0)
    assert reference["again"].items == reference["first"].items
    assert (reference["pipeline"].status, len(reference["pipeline"].written)) == ("COMPLETED", 3)
    assert (reference["schedule"].status, reference["schedule"].written) == ("COMPLETED", ("s.txt",))


@pytest.mark.parametrize("stage", STAGES)
def test_callers_see_no_difference(ground, reference, stage):
    ours = STAGES[stage]
    with contextlib.ExitStack() as fleets:
        fleets.enter_context(ground.theirs([name for name in NAMES if name not in {kind.name for kind in ours}]))
        fleets.enter_context(ground.ours(ours))
        seen = everything(ground.tenant())
    for name, expected in reference.items():
        assert seen[name] == expected, name
