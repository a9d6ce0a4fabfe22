"""Reads a `.env` file for the development command. Nothing else reads one, and nothing is interpolated."""

import re
from pathlib import Path

from unstract_worker_core.errors import ConfigurationError, Fault

__all__ = ["read_dotenv"]

_VALUE = r"""(?:"([^"]*)"|'([^']*)'|([^"'#]*?))"""
_LINE = re.compile(rf"(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=\s*{_VALUE}\s*(?:\s#.*)?")


def read_dotenv(path: Path) -> dict[str, str]:
    """The variables of a `.env` file, none without a file. Raises ConfigurationError naming the lines."""
    if not path.exists():
        return {}
    found, faults = {}, []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = _LINE.fullmatch(line.strip())
        if match is None:
            faults.append(Fault(f"{path.name} line {number}", "is not NAME=value"))
        else:
            found[match[1]] = next(text for text in match.groups()[1:] if text is not None)
    if faults:
        raise ConfigurationError(tuple(faults))
    return found
