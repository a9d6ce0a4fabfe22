"""The harness proves that it can see: the same faults on an intact fleet and on one with a guard taken away."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from attrs import frozen

from unstract_devstack.faults import aiming
from unstract_devstack.faults.arena import Arena, open_arena
from unstract_devstack.faults.checker import Tally
from unstract_devstack.faults.load import new_tenant
from unstract_devstack.fleet import API_DEPLOYMENT, CALLBACK, FILE_PROCESSING, GENERAL, WORKERS

VARIANTS = Path(__file__).parent / "variants"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(100)]


def a_lost_doorbell(arena: Arena) -> Tally:
    tenant = new_tenant(arena)
    with aiming.stopped(arena, FILE_PROCESSING):
        sent = tenant.api(2)
        aiming.until_state(arena, "ARMED", sent)
        aiming.until(lambda: arena.store.delete("uw_api_files") > 0, "doorbells are rung")
    return arena.settled([sent], seconds=12).tally


def a_paused_owner(arena: Arena) -> Tally:
    tenant = new_tenant(arena)
    tenant.platform.configure("MAX_PARALLEL_FILE_BATCHES", 1)
    sent = tenant.api(6)
    aiming.until(lambda: any(lease.file == 2 for lease in aiming.leases(arena, sent)), "the second file is in flight")
    (lease,) = aiming.leases(arena, sent)
    owner = aiming.owner_of(arena, lease)
    assert owner is not None
    with owner.process.frozen():
        aiming.until_ended(arena, sent)  # by the other worker
    time.sleep(4.0)
    return arena.settled([sent]).tally


def repeated_doorbells(arena: Arena) -> Tally:
    tenant = new_tenant(arena)
    arena.fault("delay", "/execute-file/", delay=6.0, count=1)
    sent = tenant.api(4)
    aiming.until(lambda: aiming.executed(arena, sent) == 3, "all batches but the slow one are done")
    for _ in range(3):
        arena.tap.push(arena.tap.heard(("uw_api_files",), sent.execution_id)[:4])
        time.sleep(0.5)
    return arena.settled([sent]).tally


def a_subscriber_that_is_told_late(arena: Arena) -> Tally:
    tenant = new_tenant(arena, subscribers=2)
    arena.fault("status", "/webhook/buffer/enqueue/", method="POST", status=503, skip=1, count=5)
    sent = tenant.api(1)
    return arena.settled([sent]).tally


@frozen
class Case:
    variant: str
    scenario: Callable[[Arena], Tally]
    counter: str
    # What today's backend, which ignores keys, repeats even so: the one file that was in flight.
    allowed: int = 0


CASES = (
    Case("no_sweeper", a_lost_doorbell, "callbacks_lost"),
    Case("no_fence", a_paused_owner, "effects_doubled_unkeyed", allowed=1),
    Case("no_outcome_once", repeated_doorbells, "effects_doubled_unkeyed"),
    Case("no_outbox", a_subscriber_that_is_told_late, "notifications_doubled"),
)
FLEETS = {
    "no_sweeper": WORKERS,
    "no_fence": (API_DEPLOYMENT, FILE_PROCESSING, FILE_PROCESSING, CALLBACK, GENERAL),
    "no_outcome_once": WORKERS,
    "no_outbox": WORKERS,
}


def counted(case: Case, folder: Path, settings: dict[str, str]) -> int:
    with open_arena(folder, keyed=False, settings=settings, file_delay="0.4", kinds=FLEETS[case.variant]) as arena:
        return int(getattr(case.scenario(arena), case.counter))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.variant)
def test_what_a_missing_guard_lets_through_is_seen(case, tmp_path):
    path = os.pathsep.join(filter(None, (str(VARIANTS / case.variant), os.environ.get("PYTHONPATH"))))

    assert counted(case, tmp_path, {"PYTHONPATH": path}) > case.allowed


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.variant)
def test_the_guard_keeps_it_out(case, tmp_path):
    assert counted(case, tmp_path, {}) <= case.allowed
