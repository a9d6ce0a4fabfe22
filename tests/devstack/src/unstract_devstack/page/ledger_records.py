"""What the ledger keeps, made readable: unknown fields are kept aside, values that make no sense are None."""

import json
from collections.abc import Mapping
from typing import Any

from unstract_devstack.page.shapes import Batch, DeadLetter, Run

KNOWN = frozenset(
    [
        "state",
        "task",
        "kind",
        "organization",
        "epoch",
        "n",
        "attempts",
        "fence",
        "owner",
        "lease_ends",
        "accepted_at",
        "stop",
        "last_error",
    ]
)


def read_run(run_id: str, meta: Mapping[str, str], done: int | None, due: float | None) -> Run:
    """A run from its hash, the number of batches done, and when it is due (milliseconds)."""
    return Run(
        id=run_id,
        state=meta.get("state", ""),
        task=meta.get("task", ""),
        kind=meta.get("kind", ""),
        organization=meta.get("organization", ""),
        epoch=_whole(meta.get("epoch")),
        batches=_whole(meta.get("n")),
        done=done,
        attempts=_whole(meta.get("attempts")),
        fence=_whole(meta.get("fence")),
        owner=meta.get("owner", ""),
        lease_ends=_seconds(meta.get("lease_ends")),
        accepted=_seconds(meta.get("accepted_at")),
        next_look=_seconds(due),
        stopped=bool(_whole(meta.get("stop"))),
        last_error=meta.get("last_error", ""),
        others=tuple(sorted((name, value) for name, value in meta.items() if name not in KNOWN)),
    )


def read_batch(index: int, done: bool, lease: str | None) -> Batch:
    record = _object(lease)
    return Batch(
        index=index,
        done=done,
        owner=str(record.get("owner") or ""),
        fence=_whole(record.get("fence")) or 0,
        ends=_seconds(record.get("ends")),
        file=_whole(record.get("file")) or None,
    )


def read_letter(text: str) -> DeadLetter:
    """A dead letter; what is no JSON object is its own reason."""
    record = _object(text)
    words = (str(record.get(name) or "") for name in ("task", "queue", "reason", "at"))
    return DeadLetter(*words) if record else DeadLetter("", "", text, "")


def _object(text: str | None) -> Mapping[str, Any]:
    try:
        record = json.loads(text or "{}")
    except ValueError:
        return {}
    return record if isinstance(record, dict) else {}


def _whole(record: Any) -> int | None:
    try:
        return int(record)
    except (TypeError, ValueError, OverflowError):
        return None


def _seconds(milliseconds: Any) -> float | None:
    """Seconds since the epoch; None for none and for 0, which the ledger writes for never."""
    try:
        return float(milliseconds) / 1000 or None
    except (TypeError, ValueError):
        return None
