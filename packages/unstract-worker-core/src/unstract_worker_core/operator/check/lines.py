"""One finding of `check`, how findings are shown, and why a server cannot be used in plain words."""

import json
import re
import socket
import ssl
from collections.abc import Iterator, Sequence
from typing import Literal

from amqp.exceptions import AccessRefused, NotAllowed
from attrs import asdict, frozen
from redis.exceptions import AuthenticationError, InvalidResponse, NoPermissionError
from redis.sentinel import MasterNotFoundError

CERTIFICATE = "certificate refused"

_SYSTEM = {
    "Connection refused": "connection refused: nothing listens there",
    "No route to host": "no route to the host",
    "Network is unreachable": "the network is unreachable",
    "Connection reset by peer": "the server closed the connection: does it expect TLS?",
}
_CLASSES: tuple[tuple[type[BaseException], str], ...] = (
    (socket.gaierror, "unknown host name"),
    (ConnectionRefusedError, _SYSTEM["Connection refused"]),
    (AccessRefused, "user or password refused"),
    (AuthenticationError, "user or password refused"),
    (NotAllowed, "there is no such vhost, or the user may not use it"),
    (NoPermissionError, "the ACL user may not do this"),
    (MasterNotFoundError, "the sentinels name no such master, or none of them answers"),
    (TimeoutError, "no answer in time: is it this server's port, with TLS or without as it is asked?"),
    (InvalidResponse, "something answers there that is no Redis"),
    (PermissionError, "access refused"),
)
_REDIS_TEXTS = (
    (r"WRONGPASS|invalid username-password|invalid password", "user or password refused"),
    (r"NOAUTH|Authentication required", "a password is required"),
    (r"NOPERM|no permissions", "the ACL user may not do this"),
    (r"DB index is out of range|invalid DB index", "there is no database of this number"),
    (r"WRONG_VERSION_NUMBER|wrong version number|record layer failure", "the server does not speak TLS on this port"),
    (r"Connection closed by server", "the server closed the connection: does it expect TLS?"),
)


@frozen
class Line:
    """One finding: the subject, its state, what was seen and what to do.

    Attributes:
        status: ``warn`` for what works but should be changed, ``skip`` for what could not be checked because something
            before it failed.
    """

    subject: str
    status: Literal["ok", "warn", "fail", "skip"]
    detail: str = ""


def rendered(lines: Sequence[Line], *, as_json: bool) -> str:
    """For a terminal, or as one JSON object ``{"ok", "lines"}``."""
    if as_json:
        ok = all(line.status != "fail" for line in lines)
        return json.dumps({"ok": ok, "lines": [asdict(line) for line in lines]})
    return "\n".join(f"{line.status:<4}  {line.subject}{': ' if line.detail else ''}{line.detail}" for line in lines)


def cause_of(error: BaseException) -> str:
    """The cause, without credentials: what the first error in the chain that says something says."""
    chain = list(_chain(error))
    for each in chain:
        found = _by_class(each)
        if found:
            return found
    text = " ".join(str(each) for each in chain)
    for pattern, cause in _REDIS_TEXTS:
        if re.search(pattern, text, re.IGNORECASE):
            return cause
    return next((cause for words, cause in _SYSTEM.items() if words in text), type(error).__name__)


def _by_class(error: BaseException) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"{CERTIFICATE}: {error.verify_message}"
    return next((cause for kind, cause in _CLASSES if isinstance(error, kind)), "")


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen = 0
    while error is not None and seen < 10:
        yield error
        error, seen = error.__cause__ or error.__context__, seen + 1
