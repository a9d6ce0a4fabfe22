"""B1 to B4, B9, R15, R16: the backend is away, slow, talks nonsense, hides what it did; connections that are dead."""

import time
from itertools import pairwise
from typing import Any

from unstract_devstack.faults import aiming
from unstract_devstack.faults.arena import BACKEND, BROKER, STORE
from unstract_devstack.faults.load import new_tenant
from unstract_devstack.faults.trial import BOTH, Ground, Trial, experiment

STATUS_WRITE = r"/workflow-execution/[^/]+/update_status/"
WRITES = (r"/execute-file/", STATUS_WRITE, r"/file-execution/", r"/webhook/buffer/enqueue/")
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
# Every use of Redis and every call of the backend gives a silent connection up within seconds.
RESUMED_WITHIN_SECONDS = 15.0
# A call that executes a file may take an hour by default; one into a dead connection ends with this limit.
BOUNDED = Ground({"FILE_EXECUTION_TIMEOUT": "15"}, relayed=True)


@experiment("B1", scaled=True, quick=True)
def outage(trial: Trial) -> None:
    """The backend answers 503 to everything, then only to the last status: nothing is lost.

    Full size: 30 s and 5 minutes; scaled: 8 s.
    """
    length = float(trial.sized(8, 300))
    for path, seconds in (("^/internal/", length), (STATUS_WRITE, length / 2)):
        with trial.load(6, 3.0, settle_seconds=seconds + 75.0):
            time.sleep(1.0)
            trial.arena.fault("status", path, status=503, seconds=seconds)


@experiment("B2")
def slow_answers(trial: Trial) -> None:
    """Answers at one byte a second, or none at all: given up in time, tried again, nothing is lost."""
    arena, tenant = trial.arena, new_tenant(trial.arena)
    began = time.time()
    arena.fault("slow", r"/workflow-execution/[^/]+/$", bytes_per_second=1.0, count=2)
    arena.fault("hang", r"/file-execution/", delay=8.0, count=2)
    trial.settle(tenant.api(3), tenant.api(3), seconds=150.0)
    trial.check(any(each.status == 200 for each in arena.requests(since=began)), "no request was answered")


@experiment("B3")
def nonsense(trial: Trial) -> None:
    """Pages, cut and wrongly shaped JSON from every route: never taken for success, every execution ends."""
    arena, tenant = trial.arena, new_tenant(trial.arena, subscribers=0)
    sent = []
    for fault in NONSENSE:
        for path in (r"/workflow-execution/[^/]+/$", r"/execute-file/"):
            arena.fault(path=path, count=1, **fault)
            sent.append(tenant.api(1, status=None, stopped=True))
            aiming.until_ended(arena, sent[-1])
            arena.clear_faults()
    trial.settle(*sent)
    for each in sent:
        row, done = arena.row(each), aiming.executed(arena, each)
        trial.check(row.successful <= done, f"{row.successful} succeeded, {done} done", each)
        trial.check(row.status != "COMPLETED" or row.successful == 1, f"empty success: {row}", each)


@experiment("B4", modes=BOTH)
def ambiguous(trial: Trial) -> None:
    """The backend applies a write and then cuts the connection: it is there once."""
    tenant = new_tenant(trial.arena)
    for path in WRITES:
        trial.arena.fault("cut_after", path, method="POST", count=1)
    trial.settle(*(tenant.api(2) for _ in WRITES))


@experiment("B9")
def one_retry_layer(trial: Trial) -> None:
    """Against a route that always answers 503 an operation makes exactly the configured number of calls."""
    route, began = "/tool-instances/", time.time()
    trial.arena.fault("status", route, status=503, seconds=8)
    sent = new_tenant(trial.arena).api(1)
    trial.settle(sent)
    calls = [each.at for each in trial.arena.requests(since=began, path=route) if each.status == 503]
    # Those before the first long pause.
    gaps = (number for number, (one, next_one) in enumerate(pairwise(calls), 1) if next_one - one > BURST_GAP)
    first = next(gaps, len(calls))
    trial.check(first == CONFIGURED_CALLS, f"{first} calls instead of {CONFIGURED_CALLS}", sent)


@experiment("R15", scaled=True, ground=BOUNDED)
def half_open(trial: Trial) -> None:
    """Connections go silent, to broker, Redis and backend in turn: work goes on within 15 s of the mending.

    What was connected stays dead for ever. A file whose execution was asked for on such a connection is a failed one
    once its time is over. Full size: silent for 120 s; scaled: 5 s.
    """
    arena, length = trial.arena, float(trial.sized(5, 120))
    for name in (BROKER, STORE, BACKEND):
        tenant, relay = new_tenant(arena), arena.relays[name]
        # With the backend silent they must only end.
        expected: dict[str, Any] = {"status": None, "stopped": True} if name == BACKEND else {}
        under_way = [tenant.api(4, **expected), tenant.etl(3, **expected)]
        time.sleep(0.3)
        arena.did("half_open", f"{name} for {length:.0f} s")
        relay.silence()
        time.sleep(length)
        relay.heal()
        arena.did(None, f"{name} is mended")
        after = [tenant.api(1), tenant.etl(1)]
        aiming.until_ended(arena, *after, seconds=RESUMED_WITHIN_SECONDS)
        arena.did(None, f"work goes on after {name} was mended")
        trial.settle(*under_way, *after)


@experiment("R16", ground=BOUNDED)
def closed_while_idle(trial: Trial) -> None:
    """Between two runs Redis and the backend close every connection: the next run succeeds, no error is logged."""
    arena, tenant = trial.arena, new_tenant(trial.arena)
    trial.settle(tenant.api(2), tenant.etl(2))
    for _ in range(3):
        ends = aiming.log_ends(arena)
        killed = arena.store.client_kill_filter(_type="normal", skipme=True)
        arena.relays[BACKEND].hang_up()
        arena.did("idle_connections_closed", f"{killed} of Redis, all of the backend")
        trial.settle(tenant.api(2), tenant.etl(2))
        errors = list(aiming.errors_since(arena, ends))
        trial.check(not errors, f"errors were logged: {errors[:3]}")
