"""A value that must not be seen: it prints as stars, and only `reveal()` gives it away."""

from attrs import field, frozen

__all__ = ["Secret"]


@frozen(repr=False, str=False)
class Secret:
    """A password, key or URL with credentials. Equal by value; never shown by repr, str or format."""

    _value: str = field()

    def reveal(self) -> str:
        """The value itself, for the one place that needs it."""
        return self._value

    def __repr__(self) -> str:
        return "Secret(***)"

    def __str__(self) -> str:
        return "***"

    def __format__(self, spec: str) -> str:
        return "***"

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("a Secret is never serialised")

    def __bool__(self) -> bool:
        return bool(self._value)
