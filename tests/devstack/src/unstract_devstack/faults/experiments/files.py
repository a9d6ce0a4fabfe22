"""R19, R21, R22, R24, R25: files that kill, files that are slow, odd numbers of files."""

import itertools
import time

from attrs import evolve

from unstract_devstack.faults.arena import LEASE_SECONDS
from unstract_devstack.faults.checker import Sent
from unstract_devstack.faults.experiments import aiming
from unstract_devstack.faults.load import Tenant, new_tenant
from unstract_devstack.faults.registry import AS_REAL, KEYED, Trial, experiment

MOST_ATTEMPTS = 3


@experiment("R19", modes=(KEYED,), quick=True)
def poison(trial: Trial) -> None:
    """A file on which the worker dies each time is given up after three attempts; its siblings finish.

    The harness kills the worker's group whenever the ledger says that this file is in flight.
    """
    arena, tenant = trial.arena, new_tenant(trial.arena)
    arena.fault("delay", "/execute-file/", delay=0.4)
    names = tenant.names("t", 6)
    number = 2
    poisonous = names[number - 1]
    sent = tenant.send(names, doomed=(poisonous,))
    kills, execution = _kill_whenever(trial, sent, number), sent.execution_id
    arena.clear_faults()
    trial.check(1 <= kills <= MOST_ATTEMPTS, f"it was tried {kills} times", execution)
    trial.settle(sent)
    statuses = {name: file.status for name, file in arena.history.files(execution).items()}
    good = {name: status for name, status in statuses.items() if name != poisonous and status != "COMPLETED"}
    trial.check(statuses.get(poisonous) == "ERROR", f"it shows {statuses.get(poisonous)}", execution)
    trial.check(not good, f"siblings did not complete: {good}", execution)


def _kill_whenever(trial: Trial, sent: Sent, number: int) -> int:
    """Kills who works on the file, until the execution has ended; how often."""
    arena, seen, deadline = trial.arena, set[str](), time.monotonic() + 90
    while time.monotonic() < deadline and not aiming.ended(arena, sent):
        for lease in aiming.leases(arena, sent):
            worker = aiming.owner_of(arena, lease)
            if lease.file != number or lease.owner in seen or worker is None:
                continue
            seen.add(lease.owner)
            arena.trace.fault("poison", f"kills {worker.name}")
            worker.kill()
            worker.start()
        aiming.pause(0.02)
    arena.heal()
    return len(seen)


@experiment("R21", modes=(AS_REAL,), scaled=True, quick=True)
def slow_but_alive(trial: Trial) -> None:
    """A file that takes several leases is not taken from the worker that works on it.

    Full size: 10 leases; scaled: 3.
    """
    arena, tenant = trial.arena, new_tenant(trial.arena)
    length = trial.sized(3, 10) * LEASE_SECONDS
    arena.fault("delay", "/execute-file/", delay=length, count=1)
    began = time.time()
    sent = tenant.api(1)
    trial.settle(sent, seconds=length + 60)
    calls = [each for each in arena.history.requests(since=began) if "/execute-file/" in each.path]
    trial.check(len(calls) == 1, f"execute-file was called {len(calls)} times", sent.execution_id)
    again = trial.judged.tally.effects_doubled_unkeyed
    trial.check(again == 0, f"{again} effects were repeated", sent.execution_id)


@experiment("R22", modes=(KEYED,), quick=True)
def paused_owner(trial: Trial) -> None:
    """A worker that is frozen past its lease and then goes on writes nothing any more."""
    arena, tenant = trial.arena, new_tenant(trial.arena)
    arena.fault("delay", "/execute-file/", delay=1.0, seconds=10)
    sent = tenant.api(4)
    aiming.until(lambda: any(lease.file for lease in aiming.leases(arena, sent)), "a file is in flight")
    lease = next(lease for lease in aiming.leases(arena, sent) if lease.file)
    worker = aiming.owner_of(arena, lease)
    if worker is None:
        raise TimeoutError("the owner is gone")
    arena.trace.fault("freeze_worker", f"{worker.name} past its lease")
    with worker.process.frozen():
        aiming.until(lambda: aiming.ended(arena, sent), "the other worker finishes", seconds=60)
    aiming.pause(3.0)
    arena.history.refresh()
    order = [each for each in arena.history.of(sent.execution_id) if each.operation == "files.update_status"]
    ends = {each.file: each.id for each in order if each.status == "COMPLETED"}
    late = [each for each in order if each.id > ends.get(each.file, each.id)]
    trial.check(not late, f"{len(late)} writes came after the end of their file", sent.execution_id)
    trial.settle(sent)


@experiment("R24", modes=(AS_REAL,), scaled=True, quick=True)
def sizes(trial: Trial) -> None:
    """No file, one, a number that the batches do not divide, many, equal ones, only bad ones.

    Full size: 1,000 files in one execution.
    """
    arena, tenant = trial.arena, new_tenant(trial.arena)
    sent = [tenant.etl(0), tenant.api(1), tenant.api(7), tenant.etl(13), tenant.api(0, 4, status="ERROR")]
    sent.append(_equal(tenant, 5))
    many = trial.sized(120, 1000)
    sent.append(tenant.api(many))
    trial.settle(*sent, seconds=60 + many * 0.3)
    rows = arena.history.executions(tenant.organization)
    wrong = [rows[each.execution_id] for each in sent if rows[each.execution_id].total != each.files]
    trial.check(not wrong, f"totals are wrong: {wrong}")


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
    tenant = new_tenant(trial.arena)
    sent = []
    for order in itertools.chain.from_iterable(itertools.product((True, False), repeat=n) for n in (1, 2, 3, 4)):
        names = [tenant.names("t" if good else "bad", 1)[0] for good in order]
        sent.append(tenant.send(names, status="COMPLETED" if any(order) else "ERROR"))
    trial.settle(*sent)
    rows = trial.arena.history.executions(tenant.organization)
    for each in sent:
        row = rows[each.execution_id]
        counts, wanted = (row.total, row.successful, row.failed), (each.files, len(each.good), each.bad)
        trial.check(counts == wanted, f"counts are {counts}, not {wanted}", each.execution_id)
