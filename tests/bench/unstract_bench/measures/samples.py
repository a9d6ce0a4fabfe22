"""Values by name, one a round, collected while the rounds are made."""

from attrs import define, field

__all__ = ["Samples"]


@define
class Samples:
    """What the rounds gave so far."""

    _values: dict[str, list[float]] = field(factory=dict)

    def add(self, name: str, value: float) -> None:
        """Another round's value."""
        self._values.setdefault(name, []).append(value)

    def of(self, name: str) -> tuple[float, ...]:
        """The values, in order of the rounds; none for a name that was never measured."""
        return tuple(self._values.get(name, ()))

    @property
    def names(self) -> tuple[str, ...]:
        """What was measured, in order."""
        return tuple(self._values)
