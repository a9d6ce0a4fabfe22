"""Posts webhooks: to checked addresses only, signed, within limits of time, size and number; no redirects, no proxies.

Reasons never contain the URL or a header: both may carry credentials.

Concurrent deliveries to one host and in all are limited, so that a slow receiver delays only its own webhooks. They are
counted in this process. A delivery beyond the limit goes back to the ledger for a while and is queued here: its
doorbell is rung as soon as the limit allows it. The queue is only faster than the ledger, which rings for lost entries.
"""

import base64
import hashlib
import hmac
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import ip_network

from attrs import Factory, define, field, frozen

from unstract_worker_core.backend import ConnectFailed, Limits, PostResult, ResponseLost, post_once
from unstract_worker_core.backend.responses import retry_after
from unstract_worker_core.config import Secret, Settings, WebhookSettings
from unstract_worker_general.webhooks.addresses import (
    Address,
    AddressRefused,
    Lookups,
    NotResolved,
    Target,
    unmapped,
    why_not_public,
)
from unstract_worker_general.webhooks.message import WebhookMessage, render

_LONGEST_QUEUE = 10_000
# Seconds until the ledger rings for a waiting delivery: at least, more for each other waiting one, at most.
_FIRST, _EACH, _LAST = 10.0, 0.1, 300.0
# Headers of the connection or of the delivery; a message cannot set them.
_RESERVED = (
    "accept-encoding", "connection", "content-length", "expect", "host", "keep-alive", "proxy-authorization",
    "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade",
    "webhook-id", "webhook-signature", "webhook-timestamp",
)  # fmt: skip
_MOST_ADDRESSES = 3
# The first of several addresses may drop packets without an answer.
_ONE_ADDRESS_SECONDS = 3.0
_ADDRESS_KEPT_SECONDS = 300.0
_MOST_HOSTS_KEPT = 1000
_GONE = 410
# The receiver may accept the webhook later. Any other 4xx concerns the webhook itself.
_MAY_PASS = (408, 425, 429)
_LONGEST_WAIT_SECONDS = 3600.0


@frozen
class HostLimits:
    """How many deliveries may run: to one host, in all."""

    host: int
    total: int

    @classmethod
    def of(cls, settings: Settings) -> "HostLimits":
        """One host gets at most half of the slots. A quarter of all slots is kept for starts and schedules."""
        slots = settings.process.concurrency
        return cls(min(settings.webhook.per_host, max(1, slots // 2)), max(1, slots - slots // 4))


@define(eq=False)
class HostLimiter:
    """The running and the waiting deliveries of one process."""

    _running: Counter[str] = field(factory=Counter, init=False)
    _waiting: dict[str, dict[str, None]] = field(factory=dict, init=False)  # runs by host, in order
    _lock: threading.Lock = field(factory=threading.Lock, init=False)

    @contextmanager
    def acquire(self, host: str, run_id: str, limits: HostLimits) -> Iterator[bool]:
        """Yields whether the delivery may run now; if so, it counts until the block is left."""
        with self._lock:
            allowed = self._allowed(host, limits)
            self._running[host] += allowed
            if allowed:
                self._remove(host, run_id)
        try:
            yield allowed
        finally:
            with self._lock:
                self._running[host] -= allowed
                if not self._running[host]:
                    del self._running[host]

    def wait_seconds(self) -> float:
        """Seconds until the ledger should ring for a delivery that waits."""
        with self._lock:
            return min(_FIRST + _EACH * self._length(), _LAST)

    def enqueue(self, host: str, run_id: str) -> None:
        """Let a run wait. Call it after the run was released, so that any worker can claim it."""
        with self._lock:
            if self._length() < _LONGEST_QUEUE:
                self._waiting.setdefault(host, {})[run_id] = None

    def next_waiting(self, limits: HostLimits) -> str | None:
        """Remove and return a run that may be delivered now, if any. Hosts take turns."""
        with self._lock:
            host = next((each for each in self._waiting if self._allowed(each, limits)), None)
            if host is None:
                return None
            run_id = next(iter(self._waiting[host]))
            self._remove(host, run_id)
            return run_id

    def _length(self) -> int:
        return sum(map(len, self._waiting.values()))

    def _remove(self, host: str, run_id: str) -> None:
        queue = self._waiting.pop(host, {})
        queue.pop(run_id, None)
        if queue:
            self._waiting[host] = queue  # behind the other hosts: they take turns

    def _allowed(self, host: str, limits: HostLimits) -> bool:
        return self._running[host] < limits.host and self._running.total() < limits.total


@frozen
class Failure:
    """Why a webhook was not accepted.

    Attributes:
        reason: in one line, without credentials.
        attempts: the most attempts in all; None: as many as the message allows.
        wait: seconds until the next attempt, if the receiver asked for it.
    """

    reason: str
    attempts: int | None = None
    wait: float | None = None


@define(eq=False)
class WebhookClient:
    """Posts webhooks; shared by all deliveries of one process. `now`: seconds since the epoch."""

    lookups: Lookups = Factory(Lookups)
    limiter: HostLimiter = Factory(HostLimiter)
    now: Callable[[], float] = time.time
    _worked: dict[str, tuple[Address, float]] = field(factory=dict, init=False)  # by host: address, until when

    def post(
        self, message: WebhookMessage, target: Target, delivery_id: str, settings: WebhookSettings
    ) -> Failure | None:
        """Post a webhook once; None if it was accepted (2xx). Raises LookupsBusy: nothing was sent."""
        content = json.dumps(render(message.payload, message.platform), allow_nan=False).encode()
        ends = time.monotonic() + seconds_for(message.timeout, settings)
        try:
            addresses = self.checked_addresses(target, settings, seconds=ends - time.monotonic())
        except AddressRefused as refusal:
            return Failure(str(refusal), attempts=1 if refusal.permanent else None)
        except NotResolved as error:
            return Failure(f"no connection ({error})")
        headers = headers_of(message.headers, delivery_id)
        if settings.signing_secret is not None:
            headers |= signature_headers(settings.signing_secret, delivery_id, at=int(self.now()), content=content)
        return self._post_to_first(target, addresses[:_MOST_ADDRESSES], content, headers, settings, ends)

    def checked_addresses(self, target: Target, settings: WebhookSettings, *, seconds: float) -> tuple[Address, ...]:
        """The addresses of `target`, looked up now. The one that worked last comes first.

        Raises:
            AddressRefused: an address is not allowed; then none is used.
            NotResolved, LookupsBusy: the addresses are not known.
        """
        permanent = target.address is not None
        if target.address is None:
            worked, until = self._worked.get(target.host, (None, 0.0))
            found = self.lookups.addresses(target.host, seconds=seconds)
            if worked in found and time.monotonic() < until:
                found = tuple(sorted(found, key=lambda address: address != worked))
        else:
            found = (unmapped(target.address),)
        if target.host in settings.allowed_hosts:
            return found
        networks = [ip_network(network) for network in settings.allowed_networks]
        others = [address for address in found if not any(address in network for network in networks)]
        for rule in filter(None, map(why_not_public, others)):
            allow = "WEBHOOK_ALLOWED_NETWORKS" if permanent else "WEBHOOK_ALLOWED_HOSTS and WEBHOOK_ALLOWED_NETWORKS"
            raise AddressRefused(f"the address is not public: {rule}; {allow} can allow it", permanent=permanent)
        if others and target.port not in settings.allowed_ports:
            raise AddressRefused(f"port {target.port} is not one of WEBHOOK_ALLOWED_PORTS", permanent=permanent)
        return found

    def _post_to_first(
        self,
        target: Target,
        addresses: tuple[Address, ...],
        content: bytes,
        headers: dict[str, str],
        settings: WebhookSettings,
        ends: float,
    ) -> Failure | None:
        """Post to the first address that takes a connection; another one is tried only while nothing was sent."""
        failure = None
        for others, address in zip(reversed(range(len(addresses))), addresses, strict=True):
            left = ends - time.monotonic()
            connecting = min(left / (others + 1), _ONE_ADDRESS_SECONDS) if others else left
            try:
                result = post_once(
                    target.url,
                    content,
                    headers,
                    Limits(left, connect_seconds=connecting),
                    body_limit=settings.body_limit,
                    address=str(address),
                    ca_file=settings.ca_file,
                )
            except ConnectFailed as error:
                failure = Failure(f"no connection ({_kind(error)})")
            except ResponseLost as error:
                return Failure(f"no response ({_kind(error)})")
            except OSError:
                return Failure("no connection (WEBHOOK_CA_FILE cannot be read)")
            else:
                if len(self._worked) >= _MOST_HOSTS_KEPT:
                    self._worked.clear()
                self._worked[target.host] = address, time.monotonic() + _ADDRESS_KEPT_SECONDS
                return _failure_of(result)
        return failure


def headers_of(given: dict[str, str], delivery_id: str) -> dict[str, str]:
    """The message's headers, with the delivery's id, and with JSON as content type if the message sets none."""
    headers = {name: value for name, value in given.items() if name.strip().lower() not in _RESERVED}
    if not any(name.lower() == "content-type" for name in headers):
        headers["Content-Type"] = "application/json"
    return headers | {"webhook-id": delivery_id}


def seconds_for(wanted: float, settings: WebhookSettings) -> float:
    """The time budget of a delivery in seconds: the message's timeout, within the worker's limits."""
    return min(wanted or settings.deadline_seconds, settings.timeout_cap, settings.deadline_seconds)


def signature_headers(secret: Secret, delivery_id: str, *, at: int, content: bytes) -> dict[str, str]:
    """The signature of one attempt by Standard Webhooks: HMAC-SHA256 over id, time and body.

    A receiver accepts a valid signature that is at most 300 seconds old, and drops an id that it has seen before.

    Args:
        secret: in base64, with or without the prefix ``whsec_``.
        delivery_id: the same for all attempts.
        at: seconds since the epoch.
        content: the body.
    """
    key = base64.b64decode(secret.reveal().removeprefix("whsec_"))
    signed = hmac.new(key, f"{delivery_id}.{at}.".encode() + content, hashlib.sha256).digest()
    return {"webhook-timestamp": str(at), "webhook-signature": f"v1,{base64.b64encode(signed).decode()}"}


def _failure_of(result: PostResult) -> Failure | None:
    status = result.status
    if 200 <= status < 300:
        return None
    if status == _GONE:
        return Failure("HTTP 410: the receiver says that it is gone for good", attempts=1)
    if status >= 500 or status in _MAY_PASS:
        wait = retry_after(result.retry_after)
        return Failure(f"HTTP {status}", wait=None if wait is None else min(wait, _LONGEST_WAIT_SECONDS))
    return Failure(f"HTTP {status}" + (", redirects are not followed" if status < 400 else ""), attempts=2)


def _kind(error: Exception) -> str:
    return str(error).partition(":")[0]  # what follows may name the host
