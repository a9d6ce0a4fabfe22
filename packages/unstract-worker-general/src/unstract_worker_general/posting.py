"""One POST of a webhook: to a checked address, bounded in time and in what is read, no redirects, no proxies.

What went wrong is told in words without secrets.
"""

import json
import time

from attrs import frozen

from unstract_worker_core.backend import Interrupted, NotSent, post_once
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
# How many of a host's addresses are tried before the try has failed.
_MOST_ADDRESSES = 3


@frozen
class Failure:
    """Why a webhook was not taken, safe to show. `final`: another try could not end otherwise."""

    reason: str
    final: bool = False


def post(
    message: WebhookMessage, target: Target, delivery_id: str, settings: WebhookSettings, egress: Egress
) -> Failure | None:
    """Send it once; None when it was taken (2xx). Raises LookupsBusy: nothing was tried."""
    content = json.dumps(render(message.payload, message.platform), allow_nan=False).encode()
    ends = time.monotonic() + seconds_for(message.timeout, settings)
    try:
        addresses = egress.addresses(target, settings, seconds=ends - time.monotonic())
    except Refused as refusal:
        return Failure(str(refusal), final=refusal.lasting)
    except NotResolved as error:
        return Failure(f"no connection ({error})")
    headers = headers_of(message.headers, delivery_id)
    if settings.signing_secret is not None:
        headers |= signature_headers(settings.signing_secret, delivery_id, at=int(egress.now()), content=content)
    return _sent(target, addresses[:_MOST_ADDRESSES], content, headers, settings, ends)


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
    ends: float,
) -> Failure | None:
    """Posted to the first address that takes a connection; another one is asked only while nothing was sent."""
    failure = None
    for number, address in enumerate(addresses):
        left = ends - time.monotonic()
        try:
            answer = post_once(
                target.url,
                content,
                headers,
                timeout_seconds=left,
                connect_seconds=left / (len(addresses) - number),
                body_limit=settings.body_limit,
                address=str(address),
                ca_file=settings.ca_file,
            )
        except NotSent as error:
            failure = Failure(f"no connection ({_kind(error)})")
        except Interrupted as error:
            return Failure(f"no answer ({_kind(error)})")
        except OSError:
            return Failure("no connection (WEBHOOK_CA_FILE cannot be read)")
        else:
            return _judged(answer.status)
    return failure


def _judged(status: int) -> Failure | None:
    if 200 <= status < 300:
        return None
    return Failure(f"HTTP {status}" + (", redirects are not followed" if 300 <= status < 400 else ""))


def _kind(error: Exception) -> str:
    return str(error).partition(":")[0]  # what follows may quote a header or an address
