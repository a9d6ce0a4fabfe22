"""What our frozen attrs classes compare, hash and show themselves with: written once, for any of them.

attrs compiles these methods for each class when its module is imported, and that is half of what a class costs the
start and the memory of a worker. So a value is ``@frozen(eq=False, repr=False) class X(Value)``; what attrs says of
fields (``field(eq=False)``, ``field(repr=False)``) holds.
"""

from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from attrs import Attribute

__all__ = ["Value"]


class Value:
    """Equal to another of its class whose fields are equal."""

    __slots__ = ()
    __attrs_attrs__: "ClassVar[tuple[Attribute[Any], ...]]"

    def __eq__(self, other: object) -> bool:
        if other.__class__ is not self.__class__:
            return NotImplemented
        return all(getattr(self, each.name) == getattr(other, each.name) for each in self.__attrs_attrs__ if each.eq)

    def __hash__(self) -> int:
        return hash((self.__class__, *(getattr(self, each.name) for each in self.__attrs_attrs__ if each.eq)))

    def __repr__(self) -> str:
        shown = (f"{each.name}={getattr(self, each.name)!r}" for each in self.__attrs_attrs__ if each.repr)
        return f"{self.__class__.__qualname__}({', '.join(shown)})"
