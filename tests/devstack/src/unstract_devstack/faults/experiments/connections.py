"""R15, R16: connections that are dead without saying so, and connections that were closed while idle."""

import time

from unstract_devstack.faults.arena import BACKEND, BROKER, STORE
from unstract_devstack.faults.checker import Sent
from unstract_devstack.faults.experiments import aiming
from unstract_devstack.faults.experiments.looking import errors_since, log_ends
from unstract_devstack.faults.load import Tenant, new_tenant
from unstract_devstack.faults.registry import KEYED, Trial, experiment

# Every use of Redis and every call of the backend gives a silent connection up within seconds.
RESUMED_WITHIN_SECONDS = 15.0
# A call that executes a file may take an hour by default; one into a dead connection ends with this limit.
BOUNDED = {"FILE_EXECUTION_TIMEOUT": "15"}


@experiment("R15", modes=(KEYED,), scaled=True, relayed=True, settings=BOUNDED)
def half_open(trial: Trial) -> None:
    """Connections go silent, to broker, Redis and backend in turn: work goes on within 15 s of the mending.

    What was connected stays dead for ever. A file whose execution was asked for on such a connection is a failed one
    once its time is over. Full size: silent for 120 s; scaled: 5 s.
    """
    arena, length = trial.arena, float(trial.sized(5, 120))
    for name in (BROKER, STORE, BACKEND):
        tenant, relay = new_tenant(arena), arena.relays[name]
        under_way = _sent(tenant, whole=name != BACKEND)
        aiming.pause(0.3)
        arena.trace.fault("half_open", f"{name} for {length:.0f} s")
        relay.silence()
        aiming.pause(length)
        relay.heal()
        arena.trace.note(f"{name} is mended")
        mended = time.monotonic()
        after = [tenant.api(1), tenant.etl(1)]
        aiming.until(
            lambda after=after: all(aiming.ended(arena, each) for each in after),  # type: ignore[misc]
            f"work goes on after {name} was mended",
            seconds=RESUMED_WITHIN_SECONDS,
        )
        arena.trace.note(f"work went on {time.monotonic() - mended:.1f} s after {name} was mended")
        trial.settle(*under_way, *after)


def _sent(tenant: Tenant, *, whole: bool) -> list[Sent]:
    """Executions of which nothing may be lost, or, unless `whole`, which must only end."""
    if whole:
        return [tenant.api(4), tenant.etl(3)]
    return [tenant.api(4, status=None, stopped=True), tenant.etl(3, status=None, stopped=True)]


@experiment("R16", modes=(KEYED,), relayed=True, settings=BOUNDED)
def closed_while_idle(trial: Trial) -> None:
    """Between two runs Redis and the backend close every connection: the next run succeeds, no error is logged."""
    arena, tenant = trial.arena, new_tenant(trial.arena)
    trial.settle(tenant.api(2), tenant.etl(2))
    for _ in range(3):
        ends = log_ends(arena)
        with arena.redis.client() as client:
            killed = client.client_kill_filter(_type="normal", skipme=True)
        arena.relays[BACKEND].hang_up()
        arena.trace.fault("idle_connections_closed", f"{killed} of Redis, all of the backend")
        trial.settle(tenant.api(2), tenant.etl(2))
        errors = errors_since(arena, ends)
        trial.check(not errors, f"errors were logged: {errors[:3]}")
