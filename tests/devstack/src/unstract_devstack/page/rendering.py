"""HTML from templates. Everything that is put into one is escaped; nothing that is shown is trusted."""

from datetime import UTC, datetime
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

# What a status means, whatever it is a status of. An unknown one is shown plainly.
TONES = {
    "bad": "ERROR FAILURE FAILED DEAD",
    "good": "COMPLETED SUCCESS DONE RUNNING",
    "busy": "EXECUTING INPROGRESS QUEUED READY ARMED RESTARTING",
    "halted": "STOPPED PAUSED WARN WARNING",
}


def render(template: str, /, **values: Any) -> str:
    """The template with these values."""
    return _environment().get_template(template).render(values)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("unstract_devstack.page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "clock": _clock,
        "iso": _iso,
        "seconds": _seconds,
        "tone": _tone,
        "number": "{:,}".format,
        "age": _age,
    }
    return environment


def _tone(status: str) -> str:
    word = status.upper()
    return next((tone for tone, words in TONES.items() if word in words.split()), "plain")


def _clock(at: float) -> str:
    return datetime.fromtimestamp(at).astimezone().strftime("%H:%M:%S")


def _iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")


def _seconds(seconds: float) -> str:
    if seconds < 10:
        return f"{seconds:.2f} s"
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def _age(seconds: float) -> str:
    """How long ago, roughly: what changes with every look makes a page restless."""
    if seconds < 60:
        return f"{max(0, int(seconds))} s"
    return f"{int(seconds // 60)} min" if seconds < 3600 else f"{int(seconds // 3600)} h"
