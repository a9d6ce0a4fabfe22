"""Values compare, hash and show themselves as attrs' own would."""

from copy import deepcopy

import pytest
from attrs import evolve, field, frozen

from unstract_worker_core.values import Value


@frozen(eq=False, repr=False)
class Ours(Value):
    """With what attrs can say of fields."""

    name: str
    key: str = field(default="", repr=False)
    seen: int = field(default=0, eq=False)


@frozen(eq=False, repr=False)
class More(Ours):
    """A class of its own, with a field more."""

    size: int = 0


@frozen
class Theirs:
    """The same with attrs' methods."""

    name: str
    key: str = field(default="", repr=False)
    seen: int = field(default=0, eq=False)


def test_equal_are_those_of_one_class_whose_fields_are():
    assert Ours("a", "k", 1) == Ours("a", "k", 2)
    assert Ours("a", "k") != Ours("a", "l")
    assert Ours("a") != More("a")
    assert More("a", size=1) != More("a", size=2)
    assert Ours("a") != "a"


def test_equal_ones_have_one_hash_and_what_cannot_be_hashed_says_so():
    assert len({Ours("a", seen=1), Ours("a", seen=2), Ours("b"), More("a")}) == 3
    with pytest.raises(TypeError, match="unhashable"):
        hash(Ours([]))


def test_shown_as_attrs_would_and_without_what_must_not_be():
    assert repr(Ours("a", "secret", 1)) == repr(Theirs("a", "secret", 1)).replace("Theirs", "Ours")
    assert "secret" not in repr(Ours("a", "secret"))


def test_still_frozen_slotted_and_copied():
    value = Ours("a", "k", 3)
    with pytest.raises(AttributeError):
        value.name = "b"
    assert not hasattr(value, "__dict__")
    assert evolve(value, name="b") == Ours("b", "k")
    assert deepcopy(value) == value
