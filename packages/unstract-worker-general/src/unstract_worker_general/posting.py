"""One POST of a webhook: to a checked address, bounded in time and in what is read, no redirects, no proxies.

What went wrong is told in words without secrets.
"""

import json
import time

from attrs import frozen

from unstract_worker_core.backend import ConnectFailed, Limits, PostResult, ResponseLost, post_once
from unstract_worker_core.backend.responses import retry_after
from unstract_worker_core.config import WebhookSettings
from unstract_worker_core.messages import WebhookMessage
from unstract_worker_general.addresses import Address
from unstract_worker_general.egress import Egress
from unstract_worker_general.resolving import NotResolved
from unstract_worker_general.signing import signature_headers
from unstract_worker_general.targets import Refused, Target
from unstract_worker_general.webhook_body import render

__all__ = ["Failure", "headers_of", "post", "seconds_for"]

# What belongs to the connection and to the delivery is ours to say.
_OURS = (
    "accept-encoding", "connection", "content-length", "expect", "host", "keep-alive", "proxy-authorization",
    "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade",
    "webhook-id", "webhook-signature", "webhook-timestamp",
)  # fmt: skip
# How many of a host's addresses are tried before the attempt has failed.
_MOST_ADDRESSES = 3
# The first of several addresses may swallow packets.
_ONE_ADDRESS_SECONDS = 3.0
_GONE = 410
# What a receiver answers that will take the webhook later. Any other 4xx is about the webhook itself.
_MAY_PASS = (408, 425, 429)
_LONGEST_WAIT_SECONDS = 3600.0


@frozen
class Failure:
    """Why a webhook was not taken, safe to show.

    Attributes:
        reason: in one line.
        attempts: after so many failed attempts in all there is no other; None: as many as the message allows.
        wait: seconds until the next attempt that the receiver asks for.
    """

    reason: str
    attempts: int | None = None
    wait: float | None = None


def post(
    message: WebhookMessage, target: Target, delivery_id: str, settings: WebhookSettings, egress: Egress
) -> Failure | None:
    """Send it once; None when it was taken (2xx). Raises LookupsBusy: nothing was tried."""
    content = json.dumps(render(message.payload, message.platform), allow_nan=False).encode()
    ends = time.monotonic() + seconds_for(message.timeout, settings)
    try:
        addresses = egress.addresses(target, settings, seconds=ends - time.monotonic())
    except Refused as refusal:
        return Failure(str(refusal), attempts=1 if refusal.lasting else None)
    except NotResolved as error:
        return Failure(f"no connection ({error})")
    headers = headers_of(message.headers, delivery_id)
    if settings.signing_secret is not None:
        headers |= signature_headers(settings.signing_secret, delivery_id, at=int(egress.now()), content=content)
    return _sent(target, addresses[:_MOST_ADDRESSES], content, headers, settings, egress, ends)


def headers_of(given: dict[str, str], delivery_id: str) -> dict[str, str]:
    """The producer's headers, JSON as their content type unless it says otherwise, and the delivery's id."""
    headers = {name: value for name, value in given.items() if name.strip().lower() not in _OURS}
    if not any(name.lower() == "content-type" for name in headers):
        headers["Content-Type"] = "application/json"
    return headers | {"webhook-id": delivery_id}


def seconds_for(wanted: float, settings: WebhookSettings) -> float:
    """The time that a delivery may take: what the message asks for, within the worker's limits."""
    return min(wanted or settings.deadline_seconds, settings.timeout_cap, settings.deadline_seconds)


def _sent(
    target: Target,
    addresses: tuple[Address, ...],
    content: bytes,
    headers: dict[str, str],
    settings: WebhookSettings,
    egress: Egress,
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
            egress.connected(target.host, address)
            return _judged(result)
    return failure


def _judged(result: PostResult) -> Failure | None:
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
