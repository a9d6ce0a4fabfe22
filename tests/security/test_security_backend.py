"""B6, B8, B10 on the running fleet: a revoked key, a redirect to a stranger, and how many calls a file costs."""

import json

import pytest

from unstract_devstack.processes import wait_until
from unstract_devstack.sink import Answer
from unstract_worker_core.backend import Backend
from unstract_worker_core.config import BackendSettings, Secret
from unstract_worker_core.errors import UnexpectedAnswer
from unstract_worker_core.ledger.operator import Operator

from .conftest import LEDGER, SECONDS

# The work, its tokens, its pages; and a share of what is asked and written for many files at once: rows, statuses,
# whether the user stopped.
MOST_CALLS_PER_FILE = 4


@pytest.fixture
def faults(ground):
    yield ground.fault
    ground.no_faults()


def calls_of(ground, tenant) -> list[dict]:
    return [entry for entry in ground.requests() if entry["organization"] == tenant.organization]


@pytest.mark.parametrize(("status", "expected"), [(401, "does not accept the API key"), (403, "forbids this call")])
def test_b6_a_key_that_is_revoked_in_the_middle_is_said_loudly_and_costs_no_document(ground, faults, status, expected):
    tenant = ground.tenant()
    tenant.api()
    body = {"error": f"key {ground.backend.api_key} was revoked"}
    faults(kind="body", path="execute-file", status=status, body=json.dumps(body))

    execution = tenant.send(tenant.upload("a.txt", "Total: 1"), tenant.upload("b.txt", "Total: 2"))
    ledger = ground.database(LEDGER, text=True)

    def last_error():
        return ledger.hget(f"uw:{{{execution}}}:meta", "last_error") or ""

    assert wait_until(lambda: expected in last_error(), seconds=SECONDS)
    asked = [entry for entry in calls_of(ground, tenant) if entry["path"].endswith("/execute-file/")]
    assert len(asked) <= 2  # once a batch: no retries, and no name of another organization
    assert "refuses the API key" in "".join(ground.logs().values())
    ground.no_faults()
    Operator(ledger).retry(execution)  # as `runs retry` does: not after half a minute
    row = tenant.ended(execution)
    assert (row.status, row.successful) == ("COMPLETED", 2)
    items = json.dumps(tenant.platform.results("extract", row.id).items)
    assert ground.backend.api_key not in items + "".join(ground.logs().values())


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_b8_a_redirect_to_another_host_is_not_followed(ground, status):
    """The sink stands for the stranger: it would be glad to answer, and must not see the key."""
    seen = len(ground.sink.received())
    stranger = ground.sink.url.replace("127.0.0.1", "localhost") + "/stranger/"
    ground.sink.answer_next(Answer(status=status, headers=(("Location", stranger),)))
    settings = BackendSettings(base_url=ground.sink.url, api_key=Secret("canary-key"), retry_attempts=3)
    backend = Backend(settings)
    with pytest.raises(UnexpectedAnswer):
        backend.usage.tokens("org_alpha", "00000000-0000-0000-0000-000000000802")
    backend.close()
    (only,) = ground.sink.received()[seen:]
    assert only.path != "/stranger/"


def test_b10_the_calls_per_file_are_bounded(ground):
    """The slope between a small and a large run: what each further file costs."""
    counts = {}
    for size in (5, 45):
        tenant = ground.tenant()
        tenant.api()
        files = [tenant.upload(f"{number}.txt", f"Total: {number} {size}") for number in range(size)]
        row = tenant.ended(tenant.send(*files))
        assert (row.status, row.successful) == ("COMPLETED", size)
        counts[size] = len(calls_of(ground, tenant))
    assert (counts[45] - counts[5]) / 40 <= MOST_CALLS_PER_FILE, counts
