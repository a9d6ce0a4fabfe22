"""One finding, and how findings are shown."""

import json
from collections.abc import Sequence
from typing import Literal

from attrs import asdict, frozen

__all__ = ["Line", "rendered"]


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
