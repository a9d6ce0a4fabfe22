"""Instruments with labels whose children are kept: prometheus_client's own look-up costs more than counting does."""

from typing import Generic, TypeVar

from attrs import frozen
from prometheus_client import Counter, Gauge, Histogram

__all__ = ["Described", "Family"]

Instrument = TypeVar("Instrument", Counter, Gauge, Histogram)


@frozen
class Described:
    """What is known of a metric: its whole name, its type, what it tells, its labels."""

    name: str
    kind: str
    purpose: str
    labels: tuple[str, ...] = ()


class Family(Generic[Instrument]):
    """The children of one instrument, by their labels. Safe for threads: making a child twice gives the same one."""

    def __init__(self, instrument: Instrument) -> None:
        self._instrument: Instrument = instrument
        self._children: dict[tuple[object, ...], Instrument] = {}

    def labels(self, *values: str, **named: str) -> Instrument:
        """The child with these label values, given in order or by name, never both."""
        key: tuple[object, ...] = (*named.items(),) if named else values
        child = self._children.get(key)
        if child is None:
            child = self._children[key] = self._instrument.labels(*values, **named)
        return child
