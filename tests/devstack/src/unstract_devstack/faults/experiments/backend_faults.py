"""B1 to B4, B9: the backend is away, slow, talks nonsense, or does not say what it did."""

import time
from itertools import pairwise

from unstract_devstack.faults.experiments import aiming
from unstract_devstack.faults.load import Feeder, new_tenant
from unstract_devstack.faults.registry import BOTH, KEYED, Trial, experiment
from unstract_devstack.platform_client import Request

WRITES = (
    r"/execute-file/",
    r"/workflow-execution/[^/]+/update_status/",
    r"/file-execution/",
    r"/webhook/buffer/enqueue/",
)
NONSENSE = (
    {"kind": "html", "status": 200},
    {"kind": "html", "status": 502},
    {"kind": "body", "status": 200, "body": ""},
    {"kind": "truncated"},
    {"kind": "answer", "status": 200, "body": "[]"},
    {"kind": "answer", "status": 200, "body": '{"status": NaN}'},
    {"kind": "answer", "status": 200, "body": '{"status": {"a": [1]}}'},
    {"kind": "answer", "status": 200, "body": '{"total_files": 1' + "0" * 400 + "}"},
    {"kind": "answer", "status": 200, "body": '{"status": "PENDING", "status": "COMPLETED"}'},
)
CONFIGURED_CALLS = 4
"""One try and INTERNAL_API_RETRY_ATTEMPTS more."""
BURST_GAP = 2.5


@experiment("B1", modes=(KEYED,), scaled=True, quick=True)
def outage(trial: Trial) -> None:
    """The backend answers 503 to everything, then only to the last status: nothing is lost.

    Full size: 30 s and 5 minutes; scaled: 8 s.
    """
    arena, length = trial.arena, float(trial.sized(8, 300))
    for path, seconds in (("^/internal/", length), (r"/workflow-execution/[^/]+/update_status/", length / 2)):
        feeder = Feeder(new_tenant(arena), trial.seed, 6, 3.0)
        feeder.start()
        aiming.pause(1.0)
        arena.fault("status", path, status=503, seconds=seconds)
        trial.settle(*feeder.join(), seconds=seconds + 75.0)


@experiment("B2", modes=(KEYED,))
def slow_answers(trial: Trial) -> None:
    """Answers at one byte a second, or none at all: given up in time, tried again, nothing is lost."""
    arena, tenant = trial.arena, new_tenant(trial.arena)
    began = time.time()
    arena.fault("slow", r"/workflow-execution/[^/]+/$", bytes_per_second=1.0, count=2)
    arena.fault("hang", r"/file-execution/", delay=8.0, count=2)
    sent = [tenant.api(3), tenant.api(3)]
    trial.settle(*sent, seconds=150.0)
    statuses = [each.status for each in arena.history.requests(since=began)]
    trial.check(200 in statuses, "no request was answered")


@experiment("B3", modes=(KEYED,))
def nonsense(trial: Trial) -> None:
    """Pages, cut and wrongly shaped JSON from every route: never taken for success, every execution ends."""
    arena, tenant = trial.arena, new_tenant(trial.arena, subscribers=0)
    sent = []
    for fault in NONSENSE:
        for path in (r"/workflow-execution/[^/]+/$", r"/execute-file/"):
            arena.fault(path=path, count=1, **fault)
            sent.append(tenant.api(1, status=None, stopped=True))
            aiming.until(lambda: aiming.ended(arena, sent[-1]), "the execution ends", seconds=75)
            arena.clear_faults()
    trial.settle(*sent)
    for each in sent:
        row = arena.history.executions(tenant.organization)[each.execution_id]
        done = aiming.executed(arena, each)
        trial.check(row.successful <= done, f"{row.successful} succeeded, {done} done", each.execution_id)
        trial.check(row.status != "COMPLETED" or row.successful == 1, f"empty success: {row}", each.execution_id)


@experiment("B4", modes=BOTH)
def ambiguous(trial: Trial) -> None:
    """The backend applies a write and then cuts the connection: it is there once."""
    arena, tenant = trial.arena, new_tenant(trial.arena)
    for path in WRITES:
        arena.fault("cut_after", path, method="POST", count=1)
    trial.settle(*(tenant.api(2) for _ in WRITES))


@experiment("B9", modes=(KEYED,))
def one_retry_layer(trial: Trial) -> None:
    """Against a route that always answers 503 an operation makes exactly the configured number of calls."""
    arena, tenant = trial.arena, new_tenant(trial.arena)
    route = "/tool-instances/"
    began = time.time()
    arena.fault("status", route, status=503, seconds=8)
    sent = tenant.api(1)
    trial.settle(sent)
    calls = [each for each in arena.history.requests(since=began) if route in each.path and each.status == 503]
    first = _burst(calls)
    trial.check(first == CONFIGURED_CALLS, f"{first} calls instead of {CONFIGURED_CALLS}", sent.execution_id)


def _burst(calls: list[Request]) -> int:
    """How many calls come before the first long pause."""
    gaps = [later.at - earlier.at for earlier, later in pairwise(calls)]
    return next((number + 1 for number, gap in enumerate(gaps) if gap > BURST_GAP), len(calls))
