"""This machine's clock against those of Redis and the backend."""

import time
from collections.abc import Iterator
from contextlib import closing, suppress
from email.utils import parsedate_to_datetime

from redis.exceptions import RedisError

from unstract_worker_core.backend.exchange import ConnectFailed, Limits, ResponseLost, ResponseRefused
from unstract_worker_core.backend.http import ThreadTransport, make_request, send, tls_context
from unstract_worker_core.config import BackendSettings, Settings
from unstract_worker_core.operator.check.lines import SECONDS, Line, cause_of
from unstract_worker_core.redis import connect

_FAR_SECONDS = 30.0


def clock_lines(settings: Settings, *, ledger_answers: bool, backend_answers: bool) -> Iterator[Line]:
    """The ledger's Redis, whose clock is what leases go by, and the backend; a server that was silent is not asked."""
    if ledger_answers:
        yield _ledger_line(settings)
    else:
        yield Line("clock", "skip", "the ledger's Redis does not answer")
    if not backend_answers:
        yield Line("clock", "skip", "the backend does not answer")
        return
    began, there = time.time(), _backend_time(settings.backend)
    if there is None:
        yield Line("clock", "warn", "the backend's could not be read: no answer, or none with a Date header")
    else:
        yield clock_line("the backend", there + 0.5 - (began + time.time()) / 2)  # a Date header has whole seconds


def _ledger_line(settings: Settings) -> Line:
    with closing(connect(settings.ledger_redis, name="check")) as client:
        began = time.time()
        try:
            seconds, micros = client.time()
        except RedisError as error:
            return Line("clock", "warn", f"the ledger's Redis could not be asked: {cause_of(error)}")
    return clock_line("the ledger's Redis", seconds + micros / 1e6 - (began + time.time()) / 2)


def clock_line(whose: str, ahead: float) -> Line:
    """How far another clock is `ahead` of this one, in seconds."""
    how = f"{whose} is {abs(ahead):.1f} s {'ahead of' if ahead > 0 else 'behind'} this machine"
    if abs(ahead) <= _FAR_SECONDS:
        return Line("clock", "ok", how)
    harm = "leases go by Redis's clock and stay right, but log times do not fit together, and a receiver of signed "
    return Line("clock", "warn", f"{how}: {harm}webhooks refuses what is 300 s off; run NTP on both")


def _backend_time(settings: BackendSettings) -> float | None:
    """Seconds since the epoch as the Date header of the backend's health page has them, in whole seconds."""
    headers = {"Authorization": f"Bearer {settings.api_key.reveal()}", "Accept-Encoding": "identity"}
    url = settings.base_url.rstrip("/") + "/" + settings.health_prefix
    with suppress(OSError, ConnectFailed, ResponseLost, ResponseRefused, KeyError, ValueError):
        tls = tls_context(settings.ca_file) if url.lower().startswith("https:") else None
        limits = Limits(SECONDS, body=settings.max_body_bytes)
        with closing(ThreadTransport(tls)) as transport:
            response = send(transport, make_request("GET", url, headers), limits)
        return parsedate_to_datetime(response.headers["date"]).timestamp()
    return None
