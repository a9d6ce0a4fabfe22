"""The names that the ledger's Lua steps give to keys and hash fields: workers of all versions share one Redis."""

import re
from importlib import resources

__all__ = ["layout"]

_KEY = re.compile(r'base \.\. "(\w+:?)"|"(uw:[a-z_]+)"')
_READ = re.compile(r'\b(?:get|number)\("([a-z_]+)"\)')
_HASH_CALL = re.compile(r'redis\.call\("H\w+", META,([^()]*(?:\([^()]*\)[^()]*)*)\)')
_WORD = re.compile(r'"([a-z_]+)"')
_LEASE = re.compile(r"\blease\.([a-z]+)\b")


def layout() -> dict[str, list[str]]:
    """Keys, fields of a run's hash, fields of a batch's lease; sorted."""
    folder = resources.files("unstract_worker_core.ledger.scripts")
    text = "\n".join(file.read_text("utf-8") for file in folder.iterdir() if file.name.endswith(".lua"))
    text = re.sub(r"--.*", "", text)
    fields = {*_READ.findall(text)}
    for arguments in _HASH_CALL.findall(text):
        fields.update(_WORD.findall(arguments))
    return {
        "keys": sorted({one or other for one, other in _KEY.findall(text)}),
        "fields of meta": sorted(fields),
        "fields of a lease": sorted(set(_LEASE.findall(text))),
    }
