"""Everything that is attacked, started once: real Redis, the reference backend, the sink, two workers of each busy kind."""

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from attrs import define, field

from unstract_devstack.backend_process import BackendProcess
from unstract_devstack.faults.checker import Sent, announcements, judge
from unstract_devstack.faults.history import History, Trace
from unstract_devstack.faults.relay import Relay, running_relay
from unstract_devstack.faults.tally import Judged
from unstract_devstack.faults.tap import MessageTap
from unstract_devstack.fleet import (
    API_DEPLOYMENT,
    CALLBACK,
    FILE_PROCESSING,
    GENERAL,
    Fleet,
    Worker,
    WorkerKind,
    running_fleet,
)
from unstract_devstack.http_calls import CallFailed, call_json
from unstract_devstack.redis_server import RedisHandle
from unstract_devstack.sink import SinkHandle
from unstract_devstack.stack import running_stack, worker_environment

BROKER, STORE, BACKEND = "broker", "store", "backend"
"""The relays: the broker, the Redis of ledger and platform, the backend."""

LEASE_SECONDS = 5.0
T_MAX = 3 * LEASE_SECONDS + 60.0
"""How long an execution may take to end after the last fault (reliability R1)."""
RECHECK_SECONDS = 1.0
ANY_UPLOAD = ("--upload-rules", "none")
"""Of the reference backend: more files a call than the platform takes, so that an execution lasts."""
KINDS = (API_DEPLOYMENT, GENERAL, FILE_PROCESSING, FILE_PROCESSING, CALLBACK, CALLBACK)
# Short waits, so that what is lost is found again within a run's patience.
SETTINGS = {
    "WORKER_LEASE_SECONDS": str(LEASE_SECONDS),
    "WORKER_SWEEP_SECONDS": "0.5",
    "WORKER_FIRST_RING_WAIT": "2",
    "WORKER_MAX_RING_WAIT": "8",
    "WORKER_RECHECK_SECONDS": str(RECHECK_SECONDS),
    "WORKER_DRAIN_SECONDS": "8",
    "INTERNAL_API_TIMEOUT": "5",
    "INTERNAL_API_TOTAL_TIMEOUT": "20",
    "INTERNAL_API_RETRY_BACKOFF_FACTOR": "0.2",
    "CIRCUIT_BREAKER_RECOVERY_TIMEOUT": "2",
}


@define
class Arena:
    """One running stack. `keyed`: the backend applies an idempotency key once."""

    directory: Path
    keyed: bool
    redis: RedisHandle
    backend: BackendProcess
    sink: SinkHandle
    environment: Mapping[str, str]
    fleet: Fleet
    tap: MessageTap
    history: History
    relays: Mapping[str, Relay] = field(factory=dict)
    trace: Trace = field(factory=Trace)

    def workers(self, kind: WorkerKind) -> tuple[Worker, ...]:
        """The workers of one kind."""
        return self.fleet.of(kind)

    def heal(self) -> None:
        """Starts what does not run, clears the backend's faults, and waits until all take work."""
        self.clear_faults()
        if not self.redis.running:
            self.redis.start()
        self.fleet.start()
        self.fleet.wait_ready(seconds=60)

    def fault(self, kind: str, path: str, **parameters: Any) -> None:
        """Sets a fault in the backend for requests whose path matches the regular expression."""
        self.trace.fault(f"backend_{kind}", f"{kind} on {path} {parameters or ''}")
        self.backend.dev("POST", "faults", {"kind": kind, "path": path, **parameters})

    def clear_faults(self) -> None:
        """Removes every fault from the backend."""
        self.backend.dev("DELETE", "faults")

    def verdict(self, sent: Sequence[Sent]) -> Judged:
        """What the backend's and the sink's history say about these executions now."""
        self.history.refresh()
        rows = {}
        for organization in {each.organization for each in sent}:
            rows.update(self.history.executions(organization))
        effects = {each.execution_id: self.history.of(each.execution_id) for each in sent}
        return judge(sent, effects, rows, announcements(self.sink.received()), keyed=self.keyed)

    def settled(self, sent: Sequence[Sent], *, seconds: float = T_MAX) -> Judged:
        """The verdict once everything has ended and a repeat would have shown, or after `seconds`."""
        deadline = time.monotonic() + seconds
        while True:
            while self.verdict(sent).tally.pending and time.monotonic() < deadline:
                time.sleep(0.25)
            time.sleep(RECHECK_SECONDS + 1.0)
            judged = self.verdict(sent)
            # An event that was announced only now is on its way, and no lost one.
            if not judged.tally.pending or time.monotonic() >= deadline:
                return judged

    def call(self, method: str, path: str, payload: Any, *, organization: str, key: str) -> bool:
        """A call of the internal API by the harness itself; whether it was taken."""
        headers = {"X-Organization-ID": organization, "Idempotency-Key": key}
        url = f"{self.backend.internal_url}/v1/{path}"
        try:
            call_json(method, url, payload=payload, key=self.backend.api_key, headers=headers)
        except CallFailed:
            return False
        return True


@contextlib.contextmanager
def open_arena(
    directory: Path,
    *,
    keyed: bool,
    settings: Mapping[str, str] | None = None,
    file_delay: str = "0.02-0.2",
    kinds: Sequence[WorkerKind] = KINDS,
    relayed: Sequence[str] = (),
    broker_url: str | None = None,
    backend_options: Sequence[str] = (),
) -> Iterator[Arena]:
    """An arena in `directory` until the block is left.

    Args:
        directory: where data and logs go.
        keyed: whether the backend applies an idempotency key once.
        settings: further variables of the workers.
        file_delay: how long a file takes, as the backend's option.
        kinds: the workers.
        relayed: what of BROKER, STORE and BACKEND the workers reach through a relay.
        broker_url: the broker, if it is not to be the arena's Redis.
        backend_options: further arguments for the reference backend.
    """
    mode = ("--mode", "keyed" if keyed else "as-real", "--file-delay", file_delay, "--club-seconds", "0.5")
    with contextlib.ExitStack() as parts:
        stack = parts.enter_context(
            running_stack(
                directory, workers=(), broker_url=broker_url, backend_options=(*mode, *ANY_UPLOAD, *backend_options)
            )
        )
        urls = {BROKER: broker_url or stack.redis.url, STORE: stack.redis.url, BACKEND: stack.backend.internal_url}
        relays = {}
        for name in relayed:
            port = urlsplit(urls[name]).port or 0
            relays[name] = parts.enter_context(running_relay(name, port))
            urls[name] = urls[name].replace(f":{port}/", f":{relays[name].port}/")
        environment = SETTINGS | worker_environment(
            api_key=stack.backend.api_key, backend_url=urls[BACKEND], redis_url=urls[STORE], broker_url=urls[BROKER]
        )
        environment |= settings or {}
        tap = MessageTap(stack.redis)
        tap.start()
        parts.callback(tap.stop)
        fleet = parts.enter_context(running_fleet(environment, directory / "logs", kinds=kinds))
        history = History(stack.backend.dev)
        yield Arena(directory, keyed, stack.redis, stack.backend, stack.sink, environment, fleet, tap, history, relays)
