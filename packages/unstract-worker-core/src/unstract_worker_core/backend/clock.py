"""The backend's clock, by the Date header of its health page."""

from contextlib import suppress
from email.utils import parsedate_to_datetime

from unstract_worker_core.backend.exchanges import AnswerRefused, Interrupted, NotSent, Wanted
from unstract_worker_core.backend.transport import Transport, tls_context
from unstract_worker_core.config import BackendSettings

__all__ = ["backend_time"]


def backend_time(settings: BackendSettings, *, seconds: float = 5.0) -> float | None:
    """Seconds since the epoch as the backend has them, in whole seconds; None where it does not say."""
    headers = {"Authorization": f"Bearer {settings.api_key.reveal()}", "Accept-Encoding": "identity"}
    url = settings.base_url.rstrip("/") + "/" + settings.health_prefix
    with suppress(OSError, NotSent, Interrupted, AnswerRefused, TypeError, ValueError):
        transport = Transport(tls_context(settings.ca_file) if url.lower().startswith("https:") else None)
        try:
            answer = transport.exchange(Wanted("GET", url, headers, settings.max_body_bytes), seconds)
        finally:
            transport.close()
        date = answer.header("date")
        return parsedate_to_datetime(date).timestamp() if date else None
    return None
