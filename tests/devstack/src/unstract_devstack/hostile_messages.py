"""Hypothesis strategies for messages that no producer of the platform sends, for the tests of every reader of messages."""

from hypothesis import strategies as st

__all__ = ["mutated", "texts", "values"]

_FRAGMENTS = [b"null", b"[]", b"{}", b"1e999", b'"', b"\\ud800", b"9" * 30]

# Text with half surrogate pairs, numbers without end or meaning: all that a JSON parser may return.
texts = st.text(st.characters(exclude_categories=()), max_size=20)
_scalars = st.none() | st.booleans() | st.integers() | st.floats() | texts | st.uuids() | st.binary(max_size=3)
values = st.recursive(
    _scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=15,
)


def mutated(data: st.DataObject, raw: bytes) -> bytes:
    """The message with one to four places overwritten by random bytes or by JSON that does not belong there."""
    body = bytearray(raw)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(body) - 1))
        end = at + data.draw(st.integers(0, 3))
        body[at:end] = data.draw(st.binary(max_size=2) | st.sampled_from(_FRAGMENTS))
    return bytes(body)
