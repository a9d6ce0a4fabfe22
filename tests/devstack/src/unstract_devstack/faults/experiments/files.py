"""R19, R21, R22, R24 to R27: files that kill, files that are slow, odd numbers of files; the last status stays."""

import itertools
import time

from attrs import evolve

from unstract_devstack.faults import aiming
from unstract_devstack.faults.arena import LEASE_SECONDS
from unstract_devstack.faults.checker import AS_REAL, HARNESS, Sent
from unstract_devstack.faults.load import Tenant, new_tenant
from unstract_devstack.faults.trial import Trial, experiment
from unstract_devstack.fleet import API_DEPLOYMENT, CALLBACK, WorkerKind

MOST_ATTEMPTS = 3
POISONOUS = 2
LATE_SECONDS = 0.012
ROUND = 10
# A worker goes by an answer of up to a second (WORKER_STATUS_SECONDS), and then asks.
STOP_IS_KNOWN = 1.5


@experiment("R19", quick=True)
def poison(trial: Trial) -> None:
    """A file on which the worker dies each time is given up after three attempts; its siblings finish.

    The harness kills the worker's group whenever the ledger says that this file is in flight.
    """
    arena, tenant = trial.arena, new_tenant(trial.arena)
    arena.fault("delay", "/execute-file/", delay=0.4)
    names = tenant.names("t", 6)
    poisonous = names[POISONOUS - 1]
    sent = tenant.send(names, doomed=(poisonous,))
    kills = _kill_whenever(trial, sent)
    arena.clear_faults()
    trial.check(1 <= kills <= MOST_ATTEMPTS, f"it was tried {kills} times", sent)
    trial.settle(sent)
    for name, file in arena.files(sent).items():
        wanted = "ERROR" if name == poisonous else "COMPLETED"
        trial.check(file.status == wanted, f"{name} shows {file.status} instead of {wanted}", sent)


def _kill_whenever(trial: Trial, sent: Sent) -> int:
    """Kills who works on the poisonous file, until the execution has ended; how often."""
    arena, seen, deadline = trial.arena, set[str](), time.monotonic() + 90
    while time.monotonic() < deadline and not aiming.ended(arena, sent):
        for lease in aiming.leases(arena, sent):
            worker = aiming.owner_of(arena, lease)
            if lease.file != POISONOUS or lease.owner in seen or worker is None:
                continue
            seen.add(lease.owner)
            arena.did("poison", f"kills {worker.name}")
            worker.kill()
            worker.start()
        time.sleep(0.02)
    arena.heal()
    return len(seen)


@experiment("R21", modes=(AS_REAL,), scaled=True, quick=True)
def slow_but_alive(trial: Trial) -> None:
    """A file that takes several leases is not taken from the worker that works on it.

    Full size: 10 leases; scaled: 3.
    """
    arena, length, began = trial.arena, trial.sized(3, 10) * LEASE_SECONDS, time.time()
    arena.fault("delay", "/execute-file/", delay=length, count=1)
    sent = new_tenant(arena).api(1)
    trial.settle(sent, seconds=length + 60)
    calls = arena.requests(since=began, path="/execute-file/")
    trial.check(len(calls) == 1, f"execute-file was called {len(calls)} times", sent)
    trial.check_once()


@experiment("R22", quick=True)
def paused_owner(trial: Trial) -> None:
    """A worker that is frozen past its lease and then goes on writes nothing any more."""
    arena = trial.arena
    arena.fault("delay", "/execute-file/", delay=1.0, seconds=10)
    sent = new_tenant(arena).api(4)
    worker = aiming.busy_worker(arena, sent)
    arena.did("freeze_worker", f"{worker.name} past its lease")
    with worker.process.frozen():
        aiming.until_ended(arena, sent)
    time.sleep(3.0)
    order = [each for each in arena.effects(sent) if each.operation == "files.update_status"]
    ends = {each.file: each.id for each in order if each.status == "COMPLETED"}
    late = [each for each in order if each.id > ends.get(each.file, each.id)]
    trial.check(not late, f"{len(late)} writes came after the end of their file", sent)
    trial.settle(sent)


@experiment("R24", modes=(AS_REAL,), scaled=True, quick=True)
def sizes(trial: Trial) -> None:
    """No file, one, a number that the batches do not divide, many, equal ones, only bad ones.

    Full size: 1,000 files in one execution.
    """
    tenant, many = new_tenant(trial.arena), trial.sized(120, 1000)
    sent = [tenant.etl(0), tenant.api(1), tenant.api(7), tenant.etl(13), tenant.api(0, 4, status="ERROR")]
    sent += [_equal(tenant, 5), tenant.api(many)]
    trial.settle(*sent, seconds=60 + many * 0.3)
    for each in sent:
        total = trial.arena.row(each).total
        trial.check(total == each.files, f"its total is {total}, not {each.files}", each)


def _equal(tenant: Tenant, copies: int) -> Sent:
    """An execution of equal files: worked on once, counted each."""
    names = tenant.names("t", copies)
    first = tenant.file(tenant.folder, names[0])
    files = [evolve(first, name=name) for name in names]
    execution = tenant.platform.send_files("extract", files, use_file_history=False)
    return tenant.expect(execution, names[:1], copies=copies - 1, subscribers=1)


@experiment("R25", modes=(AS_REAL,), quick=True)
def mixtures(trial: Trial) -> None:
    """Good and bad files in every order: none hides another, the counts are right."""
    tenant, sent = new_tenant(trial.arena), []
    for order in itertools.chain.from_iterable(itertools.product((True, False), repeat=n) for n in (1, 2, 3, 4)):
        names = [tenant.names("t" if good else "bad", 1)[0] for good in order]
        sent.append(tenant.send(names, status="COMPLETED" if any(order) else "ERROR"))
    trial.settle(*sent)
    rows = trial.arena.rows(tenant.organization)
    for each in sent:
        row = rows[each.execution_id]
        counts, wanted = (row.total, row.successful, row.failed), (each.files, len(each.good), each.bad)
        trial.check(counts == wanted, f"counts are {counts}, not {wanted}", each)


@experiment("R26", modes=(AS_REAL,), scaled=True, quick=True)
def one_way(trial: Trial) -> None:
    """A stale EXECUTING written just after the end is corrected; the first terminal status stays.

    Full size: 1,000 rounds; scaled: 30.
    """
    arena, tenant, chance = trial.arena, new_tenant(trial.arena), trial.chance
    for _ in range(0, trial.sized(30, 1000), ROUND):
        sent = [tenant.api(1) for _ in range(ROUND)]
        waiting, deadline = list(sent), time.monotonic() + 60
        while waiting and time.monotonic() < deadline:
            for each in [each for each in waiting if arena.end_of(each)]:
                waiting.remove(each)
                time.sleep(chance.uniform(0.0, LATE_SECONDS))
                arena.did("stale_status", f"EXECUTING over {each.execution_id}")
                arena.write_status(each, "EXECUTING", key=f"{HARNESS}{each.execution_id}:{time.time()}")
        trial.check(not waiting, f"{len(waiting)} executions did not end")
        trial.settle(*sent)


@experiment("R27", modes=(AS_REAL,), quick=True)
def user_stop(trial: Trial) -> None:
    """A stop before the start, between files and before the end: STOPPED, no new file, no later status."""
    arena, tenant = trial.arena, new_tenant(trial.arena)
    before = _stopped_while_frozen(trial, tenant, API_DEPLOYMENT, files=4)
    arena.fault("delay", "/execute-file/", delay=0.3, seconds=8)
    between = tenant.api(40, stopped=True, status="STOPPED")
    aiming.until_executed(arena, 2, between)
    tenant.platform.stop(between.execution_id)
    known = time.time() + STOP_IS_KNOWN
    arena.did("user_stop", f"{between.execution_id} between its files")
    finalising = _stopped_while_frozen(trial, tenant, CALLBACK, files=2)
    trial.settle(before, between, finalising)
    begun = [
        each for each in arena.effects(between) if (each.operation, each.status) == ("files.update_status", "EXECUTING")
    ]
    started = sum(each.at > known for each in begun)
    trial.check(not started, f"{started} files were started after the stop", between)
    trial.check(aiming.executed(arena, before) == 0, "a file was started", before)


def _stopped_while_frozen(trial: Trial, tenant: Tenant, kind: WorkerKind, *, files: int) -> Sent:
    """An execution that is stopped while the workers of one kind are frozen."""
    with aiming.frozen_workers(trial.arena, kind):
        sent = tenant.api(files, stopped=True, status="STOPPED")
        if kind is CALLBACK:
            aiming.until_state(trial.arena, "READY", sent)
        tenant.platform.stop(sent.execution_id)
        trial.arena.did("user_stop", f"{sent.execution_id} while {kind.name} is frozen")
    return sent
