"""Keeps secrets out of the log: by key, by pattern in any text, and by the literal values of this process."""

import math
import re
from collections.abc import Iterable, Mapping, MutableMapping
from datetime import datetime
from decimal import Decimal
from functools import cache, lru_cache
from typing import Any
from urllib.parse import quote
from uuid import UUID

_STARS = "***"
_WORDS = (
    r"authorization|api[_-]?key|passw(?:or)?d|secret|cookie|credential|connector[_-]?metadata|private[_-]?key"
    r"|access[_-]?key|(?:access|auth|refresh|bearer|session)[_-]?token|(?<![a-z0-9])token(?![a-z])"
)
_KEY = re.compile(_WORDS, re.IGNORECASE)
# Each of the words holds one of these: looking for them costs a twentieth.
_TRACES = ("authorization", "bearer", "cookie", "credential", "key", "metadata", "passw", "secret", "token")
# Every repetition is bounded or cannot overlap another: a hostile text must not make logging slow.
_NAME = rf"(?:{_WORDS})[\w\-]{{0,40}}[\"']?\s{{0,4}}"
_URL = re.compile(r"\b([a-z][a-z0-9+.\-]{0,20}://)[^\s/\"'<>]*@", re.IGNORECASE)
_PATTERNS = (
    (r"\b(bearer\s{1,4})[^\s\"',;)\]}]+", rf"\1{_STARS}"),
    # {"password": "x"}, [(b'x-api-key', b'x')], secret='x'
    (rf"({_NAME}(?:[:=]|,(?=\s{{0,4}}b?[\"']))\s{{0,4}}b?)(?:\"[^\"]*\"|'[^']*')", rf"\1{_STARS}"),
    # Authorization: Basic x, to the end of the line
    (r"((?:authorization|cookie)[\"']?\s{0,4}[:=]\s{0,4})[^\r\n\"',}]+", rf"\1{_STARS}"),
    # password=x, to the end of the word; but "X_PASSWORD: is required" is a fault, not a value
    (rf"({_NAME}[:=]\s{{0,4}})(?!(?:is|must|names|needs|has) )[^\s\"',;&)\]}}]+", rf"\1{_STARS}"),
)
_PLAIN = (bool, int, type(None))
_LONGEST, _DEEPEST, _MOST = 16 * 1024, 6, 200


@lru_cache(maxsize=512)
def _names_a_secret(key: str) -> bool:
    return _KEY.search(key) is not None


@cache
def _patterns() -> tuple[tuple[re.Pattern[str], str], ...]:
    """Compiled when a text first needs them: a start hardly does."""
    return tuple((re.compile(pattern, re.IGNORECASE), replacement) for pattern, replacement in _PATTERNS)


def _suspicious(text: str) -> bool:
    """Whether it has what any of the patterns needs: most texts have nothing of it."""
    lower = text.lower()
    if text.isascii() and not any(trace in lower for trace in _TRACES):
        return False
    return _KEY.search(text) is not None or "bearer" in lower


class Redactor:
    """Cleans event dictionaries. `secrets` are literal values; short ones (below six) hit too much."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        known = [value for value in secrets if len(value) > 5]
        forms = {form for value in known for form in (value, quote(value, safe=""), repr(value)[1:-1])}
        ordered = sorted(forms, key=len, reverse=True)
        self._literals = re.compile("|".join(map(re.escape, ordered))) if ordered else None

    def text(self, value: str) -> str:
        """A text without secrets, cut to 16 KiB."""
        value = value[: 2 * _LONGEST]
        if self._literals:
            value = self._literals.sub(_STARS, value)
        if "://" in value:
            value = _URL.sub(rf"\1{_STARS}@", value)
        if _suspicious(value):
            for pattern, replacement in _patterns():
                value = pattern.sub(replacement, value)
        return value if len(value) <= _LONGEST else value[:_LONGEST] + "... (cut)"

    def _harmless(self, text: str) -> bool:
        """Whether nothing in it can be a secret: most records are seen through at one look."""
        if len(text) > _LONGEST or "://" in text or _suspicious(text):
            return False
        return self._literals is None or self._literals.search(text) is None

    def value(self, value: object, depth: int = 0) -> Any:
        """A value that is safe to render: texts cleaned, containers walked, anything else as cleaned text."""
        if self._is_number(value):
            return value
        if isinstance(value, str):
            return self.text(str(value))
        if depth < _DEEPEST and isinstance(value, Mapping):
            items = list(value.items())[:_MOST]
            return {self.text(str(key)): self._named(str(key), item, depth + 1) for key, item in items}
        if depth < _DEEPEST and isinstance(value, list | tuple | set | frozenset):
            return [self.value(item, depth + 1) for item in list(value)[:_MOST]]
        return self.text(str(value) if isinstance(value, UUID | Decimal | datetime | float) else repr(value))

    @staticmethod
    def _is_number(value: object) -> bool:
        """None, a truth value or a number that JSON has; NaN and infinity are shown as text."""
        return isinstance(value, _PLAIN) or (isinstance(value, float) and math.isfinite(value))

    def _named(self, key: str, value: object, depth: int) -> Any:
        return _STARS if _names_a_secret(key) else self.value(value, depth)

    def __call__(self, logger: object, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        """As a processor of structlog: the last one before the renderer."""
        texts = [value for value in event.values() if type(value) is str]
        plain = all(type(value) is str or self._is_number(value) for value in event.values())
        if plain and self._harmless("\n".join((*event, *texts))):
            return event
        for key in list(event):
            event[key] = self._named(key, event[key], 0)
        return event
