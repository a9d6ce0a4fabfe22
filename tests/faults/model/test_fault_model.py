"""Runs the model: the protocol has no bad state, and each part of it is there for a reason."""

import pytest

from .search import search
from .state import Budget, Rules
from .variants import VARIANTS, Variant

BUDGETS = (
    pytest.param(
        Budget(crashes=1, pauses=1, losses=1, doubles=1, late_writes=1), id="one of each fault", marks=pytest.mark.slow
    ),
    pytest.param(Budget(crashes=2, pauses=0, losses=1, doubles=1, late_writes=0), id="two crashes and a lossy broker"),
    pytest.param(Budget(crashes=1, pauses=2, losses=0, doubles=0, late_writes=0), id="two pauses and a crash"),
)


@pytest.mark.parametrize("budget", BUDGETS)
def test_every_end_is_terminal_with_each_effect_exactly_once(budget: Budget) -> None:
    found = search(Rules(), budget)

    assert (found.problem, found.way) == ("", ())
    assert found.states > 10_000
    assert found.ends > 0


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.name)
def test_without_one_part_of_the_protocol_a_bad_state_is_found(variant: Variant) -> None:
    found = search(variant.rules, Budget(crashes=0, pauses=1, losses=1, doubles=1, late_writes=1))

    assert found.problem == variant.problem
    assert variant.step in found.way


@pytest.mark.parametrize("keys", [True, False])
def test_without_faults_even_the_keys_are_not_needed(keys: bool) -> None:
    found = search(Rules(keys=keys), Budget(0, 0, 0, 0, 0))

    assert found.problem == ""
    assert found.ends > 0
