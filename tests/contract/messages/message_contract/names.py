"""The names that workers of all versions share: of the ledger's keys and hash fields, and of the doorbells."""

import re
from importlib import resources

from unstract_worker_core.queues import DOORBELL_QUEUES, DOORBELL_TASKS

__all__ = ["names"]

_KEY = re.compile(r'base \.\. "(\w+:?)"|"(uw:[a-z_]+)"')
_READ = re.compile(r'\b(?:get|number)\("([a-z_]+)"\)')
_HASH_CALL = re.compile(r'redis\.call\("H\w+", META,([^()]*(?:\([^()]*\)[^()]*)*)\)')
_WORD = re.compile(r'"([a-z_]+)"')
_LEASE = re.compile(r"\blease\.([a-z]+)\b")


def names() -> dict[str, list[str]]:
    """Keys, fields of a run's hash and of a batch's lease as the Lua steps name them; which task rings where."""
    folder = resources.files("unstract_worker_core.ledger") / "scripts"
    text = "\n".join(file.read_text("utf-8") for file in folder.iterdir() if file.name.endswith(".lua"))
    text = re.sub(r"--.*", "", text)
    fields = {*_READ.findall(text)}
    for arguments in _HASH_CALL.findall(text):
        fields.update(_WORD.findall(arguments))
    return {
        "ledger keys": sorted({one or other for one, other in _KEY.findall(text)}),
        "ledger fields of a run": sorted(fields),
        "ledger fields of a lease": sorted(set(_LEASE.findall(text))),
        "doorbells": sorted(f"{DOORBELL_TASKS[bell]} on {queue}" for bell, queue in DOORBELL_QUEUES.items()),
    }
