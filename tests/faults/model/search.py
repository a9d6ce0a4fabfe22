"""Breadth-first search over all states of the model, keeping the shortest way to each."""

from collections import deque
from typing import NamedTuple

from .model import faults, progress
from .state import Budget, Rules, State, bad, complete


class Found(NamedTuple):
    """What the search saw: how many states, how many of them without a further step, what was wrong.

    `problem` is empty when nothing was; `way` is the shortest way to it, step by step.
    """

    states: int
    ends: int
    problem: str = ""
    way: tuple[str, ...] = ()


def search(rules: Rules, budget: Budget) -> Found:
    """Visit every reachable state, or stop at the first that is bad or stuck."""
    first = State(budget)
    parents: dict[State, tuple[State, str] | None] = {first: None}
    queue = deque([first])
    ends = 0
    while queue:
        state = queue.popleft()
        steps = list(progress(state, rules))
        ends += not steps
        problem = bad(state) or ("" if steps or complete(state) else "stuck")
        if problem:
            return Found(len(parents), ends, problem, way_to(state, parents))
        for label, following in (*steps, *faults(state)):
            if following not in parents:
                parents[following] = (state, label)
                queue.append(following)
    return Found(len(parents), ends)


def way_to(state: State, parents: dict[State, tuple[State, str] | None]) -> tuple[str, ...]:
    """The steps from the start to the state."""
    labels = []
    while (parent := parents[state]) is not None:
        state, label = parent
        labels.append(label)
    return tuple(labels[::-1])
