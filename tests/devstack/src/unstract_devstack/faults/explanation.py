"""What a failed trial leaves for the one who has to understand it, and how long executions took to recover."""

from collections.abc import Iterator

from unstract_devstack.faults.checker import TERMINAL
from unstract_devstack.faults.registry import Trial
from unstract_devstack.platform_client import Effect

MOST_HISTORIES = 2
MOST_PROBLEMS = 20


def explanation(trial: Trial, first: int) -> str:
    """Seed, problems, what was done from the trace's entry `first` on, and the history of the executions at fault."""
    lines = [f"  seed {trial.seed}, backend {'keyed' if trial.arena.keyed else 'as-real'}"]
    problems = trial.judged.problems
    lines += [f"  problem: {each.text} [{each.execution_id or '-'}]" for each in problems[:MOST_PROBLEMS]]
    entries = trial.arena.trace.entries[first:]
    start = entries[0].at if entries else 0.0
    lines += ["  trace:", *(f"    {each.at - start:8.3f} s  {each.fault or '-':24} {each.text}" for each in entries)]
    guilty = list(dict.fromkeys(each.execution_id for each in problems if each.execution_id))
    for execution_id in guilty[:MOST_HISTORIES]:
        lines.append(f"  history of {execution_id}:")
        lines += [_effect(each, start) for each in trial.arena.history.of(execution_id)]
    return "\n".join(lines)


def _effect(effect: Effect, start: float) -> str:
    detail = {name: value for name, value in effect.detail.items() if value is not None}
    file = (effect.file or "-").rpartition("/")[2]
    key = (effect.key or "-").replace(effect.execution_id or "-", "*")
    return f"    {effect.at - start:8.3f} s  {effect.operation:26} {file:>12} {key} {detail}"


def recovery_times(trial: Trial, first: int) -> Iterator[float]:
    """For each execution that was under way during a fault: seconds from the last such fault to its end."""
    faults = [each.at for each in trial.arena.trace.entries[first:] if each.fault]
    for sent in trial.sent:
        effects = trial.arena.history.of(sent.execution_id)
        ends = [each.at for each in effects if each.operation == "executions.update_status" and each.status in TERMINAL]
        if not ends:
            continue
        during = [at for at in faults if effects[0].at <= at <= ends[0]]
        if during:
            yield round(ends[0] - max(during), 3)
