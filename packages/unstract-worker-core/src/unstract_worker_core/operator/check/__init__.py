"""What `check` examines before a worker gets traffic: configuration, broker, queues, Redis, backend, clock.

Nothing is changed: what is written for a trial is removed again. Each finding is a line: ok, warn or fail, and what to
do.
"""

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

from unstract_worker_core.observability.logs import Redactor

SECONDS = 5.0  # how long a server is given to answer, without a second try
CERTIFICATE = "certificate refused"
REFUSED = "user or password refused"
NO_ANSWER = "no answer in time: is it this server's port, with TLS or without as it is asked?"
NO_MASTER = "the sentinels name no such master, or none of them answers"

_SYSTEM = {
    "Connection refused": "connection refused: nothing listens there",
    "No route to host": "no route to the host",
    "Network is unreachable": "the network is unreachable",
    "Connection reset by peer": "the server closed the connection: does it expect TLS?",
}
_CLASSES: tuple[tuple[type[BaseException], str], ...] = (
    (socket.gaierror, "unknown host name"),
    (ConnectionRefusedError, _SYSTEM["Connection refused"]),
    (AccessRefused, REFUSED),
    (AuthenticationError, REFUSED),
    (NotAllowed, "there is no such vhost, or the user may not use it"),
    (NoPermissionError, "the ACL user may not do this"),
    (MasterNotFoundError, NO_MASTER),
    (TimeoutError, NO_ANSWER),
    (InvalidResponse, "the server there is not Redis"),
    (PermissionError, "access refused"),
)
_TEXTS = (
    (r"WRONGPASS|invalid username-password|invalid password", REFUSED),
    (r"NOAUTH|Authentication required", "a password is required"),
    (r"NOPERM|no permissions", "the ACL user may not do this"),
    (r"DB index is out of range|invalid DB index", "there is no database of this number"),
    (r"unknown command .SENTINEL", "the server there is not a sentinel"),
    (r"WRONG_VERSION_NUMBER|wrong version number|record layer failure", "the server does not speak TLS on this port"),
    (r"Connection closed by server", "the server closed the connection: does it expect TLS?"),
    # libpq's, which has one class of error for all of them
    (r"password authentication failed|role \".*\" does not exist|no password supplied", REFUSED),
    (r"no pg_hba.conf entry", "the server does not admit this user from this machine"),
    (r"database \".*\" does not exist", "there is no database of this name"),
    (r"no schema has been selected|schema \".*\" does not exist", "there is no schema of this name"),
    (r"permission denied", "the user may not make or read its tables"),
    (r"could not translate host name|Name or service not known", "unknown host name"),
    (r"timeout expired|timed out", NO_ANSWER),
    (r"server closed the connection unexpectedly|invalid response to SSL", "the server there is not PostgreSQL"),
    (r"unable to open database file", "the file cannot be opened"),
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

    def __str__(self) -> str:
        """For a terminal."""
        return printable_line(f"{self.status:<4}  {self.subject}{': ' if self.detail else ''}{self.detail}")


def printable_line(text: str) -> str:
    """One line of printable characters: no text may send control characters to a terminal."""
    return "".join(character if character.isprintable() else " " for character in text)


def as_json(lines: Sequence[Line]) -> str:
    """One JSON object ``{"ok", "lines"}``."""
    ok = all(line.status != "fail" for line in lines)
    return json.dumps({"ok": ok, "lines": [asdict(line) for line in lines]})


def cause_of(error: BaseException, where: str = "") -> str:
    """The cause, without credentials: a known one, else what the error at the bottom of the chain says.

    Args:
        where: the server's location: an unknown zone of an IPv6 address in it is the cause.
    """
    cause = unknown_zone(where) or known_cause(error)
    if cause:
        return cause
    said = next((text for each in reversed(list(_chain(error))) if (text := str(each).strip())), "no reason was given")
    return f"{Redactor().text(said.splitlines()[0])} ({type(error).__name__})"


def known_cause(error: BaseException) -> str:
    """The cause in our words; empty where no error of the chain is known."""
    chain = list(_chain(error))
    for each in chain:
        found = _by_class(each)
        if found:
            return found
    text = " ".join(str(each) for each in chain)
    for pattern, cause in _TEXTS:
        if re.search(pattern, text, re.IGNORECASE):
            return cause
    return next((cause for words, cause in _SYSTEM.items() if words in text), "")


def unknown_zone(where: str) -> str:
    """What is wrong with the zone of an IPv6 address in a location, such as ``[fe80::1%25eth0]:6379``; or nothing."""
    for zone in re.findall(r"\[[0-9a-fA-F:.]+%(?:25)?([^\]]+)\]", where):
        if zone not in {part for number, name in socket.if_nameindex() for part in (name, str(number))}:
            return f"this machine has no network interface {zone}, which the IPv6 address names as its zone (%{zone})"
    return ""


def _by_class(error: BaseException) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"{CERTIFICATE}: {error.verify_message}"
    return next((cause for kind, cause in _CLASSES if isinstance(error, kind)), "")


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen = 0
    while error is not None and seen < 10:
        yield error
        error, seen = error.__cause__ or error.__context__, seen + 1
