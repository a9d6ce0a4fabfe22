"""Everything that is attacked, started once: real Redis, the reference backend, the sink, two workers of each busy kind."""

import contextlib
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from attrs import asdict, define, field, frozen
from redis import Redis

from unstract_devstack.faults.checker import TERMINAL, Judged, Sent, announcements, judge
from unstract_devstack.faults.relay import Relay, running_relay
from unstract_devstack.faults.tap import MessageTap
from unstract_devstack.fleet import API_DEPLOYMENT, CALLBACK, FILE_PROCESSING, GENERAL, WorkerKind, running_fleet
from unstract_devstack.http_calls import CallFailed, call_json
from unstract_devstack.platform_client import Effect, ExecutionRow, FileRow, Request
from unstract_devstack.stack import Stack, running_stack, worker_environment

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


@frozen
class Done:
    """One thing that was done, at seconds since the epoch; `fault`: its kind, if it was one."""

    at: float
    text: str
    fault: str | None = None


@define(kw_only=True)
class Arena(Stack):
    """One running stack, what was done to it, and the effects that its backend applied, fetched once and kept.

    `keyed`: the backend applies an idempotency key once. `store`: a client of its Redis.
    """

    keyed: bool
    tap: MessageTap
    store: Redis
    relays: Mapping[str, Relay] = field(factory=dict)
    trace: list[Done] = field(factory=list)
    _effects: dict[str, list[Effect]] = field(factory=lambda: defaultdict(list), init=False)
    _last: int = field(default=0, init=False)

    def did(self, fault: str | None, text: str) -> None:
        """Notes what was done; None: it is no fault."""
        self.trace.append(Done(time.time(), text, fault))

    def fault(self, kind: str, path: str, **parameters: Any) -> None:
        """Sets a fault in the backend for requests whose path matches the regular expression."""
        self.did(f"backend_{kind}", f"{kind} on {path} {parameters or ''}")
        self.backend.dev("POST", "faults", {"kind": kind, "path": path, **parameters})

    def clear_faults(self) -> None:
        self.backend.dev("DELETE", "faults")

    def heal(self) -> None:
        """Starts what does not run, clears the backend's faults, and waits until all take work."""
        self.clear_faults()
        if not self.redis.running:
            self.redis.start()
        self.fleet.start()
        self.fleet.wait_ready(seconds=60)

    def effects(self, sent: Sent) -> tuple[Effect, ...]:
        """The effects of one execution until now."""
        for effect in self.backend.dev.effects(after=self._last):
            self._last = effect.id
            self._effects[effect.execution_id or ""].append(effect)
        return tuple(self._effects[sent.execution_id])

    def end_of(self, sent: Sent) -> float | None:
        """When the first terminal status of an execution was written."""
        writes = (each for each in self.effects(sent) if each.operation == "executions.update_status")
        return next((each.at for each in writes if each.status in TERMINAL), None)

    def rows(self, organization: str) -> dict[str, ExecutionRow]:
        """The executions of an organization, by id."""
        return {row.id: row for row in self.backend.dev.executions(files=False, organization_id=organization)}

    def row(self, sent: Sent) -> ExecutionRow:
        return self.rows(sent.organization)[sent.execution_id]

    def files(self, sent: Sent) -> dict[str, FileRow]:
        """The files' rows of an execution, by name."""
        (row,) = self.backend.dev.executions(execution_id=sent.execution_id)
        return {file.name: file for file in row.files}

    def requests(self, *, since: float, path: str = "") -> list[Request]:
        """The requests for such a path since a time, oldest first."""
        return [each for each in self.backend.dev.requests(since=since) if path in each.path]

    def verdict(self, sent: Sequence[Sent]) -> Judged:
        """What the backend's and the sink's history say about these executions now."""
        rows = {}
        for organization in {each.organization for each in sent}:
            rows.update(self.rows(organization))
        effects = {each.execution_id: self.effects(each) for each in sent}
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

    def write_status(self, sent: Sent, status: str, *, key: str) -> None:
        """Writes a status by the internal API, as a worker that is late; the backend may refuse it."""
        headers = {"X-Organization-ID": sent.organization, "Idempotency-Key": key}
        url = f"{self.backend.internal_url}/v1/workflow-execution/{sent.execution_id}/update_status/"
        with contextlib.suppress(CallFailed):
            call_json("POST", url, payload={"status": status}, key=self.backend.api_key, headers=headers)


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
    options = (*mode, *ANY_UPLOAD, *backend_options)
    with contextlib.ExitStack() as parts:
        stack = parts.enter_context(
            running_stack(directory, workers=(), broker_url=broker_url, backend_options=options)
        )  # fmt: skip
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
        store = parts.enter_context(stack.redis.client())
        running = {**asdict(stack, recurse=False), "environment": environment, "fleet": fleet}
        yield Arena(**running, keyed=keyed, tap=tap, store=store, relays=relays)
