"""Runs experiments: one stack per mode of the backend, one trial after the other, each within its time.

What can go side by side, each mode, fleets of their own, the tests, is a part in a process of its own.
"""

import multiprocessing
import time
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import groupby
from pathlib import Path

import redis
from attrs import evolve, frozen

from unstract_devstack.faults import experiments  # noqa: F401 - registers them
from unstract_devstack.faults.aftermath import check_bound, explanation, recovery_times
from unstract_devstack.faults.arena import BACKEND, BROKER, STORE, Arena, open_arena
from unstract_devstack.faults.checker import KEYED, Problem
from unstract_devstack.faults.outcome import FAIL, FIRST, PASS, Outcome, Run
from unstract_devstack.faults.tested import MODE, ids_with_tests, run_tests
from unstract_devstack.faults.trial import EXPERIMENTS, Experiment, Ground, Trial
from unstract_devstack.http_calls import CallFailed
from unstract_devstack.processes import ProcessError, end_with_parent

SHORTEST_TRIAL = 20.0
ENDING = 15.0
OVERRUN = 60.0
# Which of a random run's problems are which experiment's.
SHARES = {"R1": ("callbacks_lost",), "R2": ("effects_",), "R3": ("callbacks_", "notifications_", "status_regressions")}


@frozen
class Lane:
    """Experiments, by id, in one mode of the backend, made one after the other."""

    mode: str
    ids: tuple[str, ...]


@frozen
class Options:
    """What to run. `seconds` bounds the whole run; `chosen` are ids, none for all that fit."""

    seed: int
    executions: int
    kills: int
    modes: tuple[str, ...]
    seconds: float
    chosen: frozenset[str] = frozenset()
    quick: bool = False
    full: bool = False

    def selected(self, mode: str) -> list[Experiment]:
        """The experiments of one mode: the random run, those that must not be missing, the others."""
        found = [each for each in EXPERIMENTS.values() if mode in each.modes]
        if self.chosen:
            found = [each for each in found if each.id in self.chosen]
        else:
            found = [each for each in found if each.quick or not self.quick]
        return sorted(found, key=lambda each: (each.id not in SHARES, each.id not in FIRST))

    def lanes(self) -> list[Lane]:
        """For each mode those that share a fleet, and those that need one of their own."""
        lanes = []
        for mode in self.modes:
            for shared in (True, False):
                ids = tuple(each.id for each in self.selected(mode) if (each.ground == Ground()) is shared)
                lanes.extend([Lane(mode, ids)] if ids else [])
        return lanes

    def tested(self) -> tuple[str, ...]:
        """The ids whose tests are to be run: those that are chosen, or all in a whole run."""
        if self.chosen:
            return tuple(each for each in ids_with_tests() if each in self.chosen)
        return () if self.quick or len(self.modes) == 1 else ids_with_tests()


def say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - it is what the command says


def run(options: Options, directory: Path) -> Run:
    """Everything that the options ask for and the time allows: the lanes side by side, and the tests beside them."""
    began = time.monotonic()
    deadline = began + options.seconds - ENDING
    result = Run(options.seed, options.executions, options.kills, options.full, time.time())
    parts: list[tuple[Lane, Callable[..., Run], tuple[object, ...]]] = [
        (lane, run_lane, (options, lane, directory, deadline)) for lane in options.lanes()
    ]
    if tested := options.tested():
        parts.append((Lane(MODE, tested), run_tests, (tested, directory, deadline)))
    with multiprocessing.get_context("spawn").Pool(len(parts), initializer=end_with_parent) as pool:
        under_way = [(lane, pool.apply_async(part, arguments)) for lane, part, arguments in parts]
        for lane, part in under_way:
            try:
                done = part.get(timeout=max(1.0, deadline + ENDING + OVERRUN - time.monotonic()))
            except Exception as error:  # noqa: BLE001 - whatever ended another process, its experiments have failed
                done = Run.failed(lane.ids, lane.mode, f"ended without a result: {error!r}")
                say("\n".join(map(str, done.outcomes)))
            result = result.and_part(done)
    return evolve(result, seconds=time.monotonic() - began)


def run_lane(options: Options, lane: Lane, directory: Path, deadline: float) -> Run:
    """One fleet after the other, each for the experiments of its ground."""
    result = Run()
    for ground, group in groupby((EXPERIMENTS[each] for each in lane.ids), key=lambda each: each.ground):
        selected = list(group)
        folder, relayed = (
            directory / f"{lane.mode}-{selected[0].id}",
            (BROKER, STORE, BACKEND) if ground.relayed else (),
        )
        try:
            with open_arena(
                folder, keyed=lane.mode == KEYED, settings=ground.settings, relayed=relayed
            ) as arena:  # fmt: skip
                done = _all(options, arena, selected, deadline)
        except ProcessError as error:
            done = Run.failed((each.id for each in selected), lane.mode, f"its fleet did not start: {error}")
            say("\n".join(f"{each}, {error}" for each in done.outcomes))
        result = result.and_part(done)
    return result


def _all(options: Options, arena: Arena, selected: Sequence[Experiment], deadline: float) -> Run:
    result = Run()
    for _, group in groupby(selected, key=lambda each: each.run):
        same = list(group)
        ids = f"{'/'.join(each.id for each in same):>8}"
        if deadline - time.monotonic() < SHORTEST_TRIAL:
            say(f"{ids}  not run: no time left")
            continue
        trial = Trial(arena, options.seed, deadline, options.full, options.kills, options.executions, same[0].id)
        began, first = time.monotonic(), len(arena.trace)
        _carried_out(trial, same[0], first)
        seconds = time.monotonic() - began
        if trial.cut:
            say(f"{ids}  not run: cut off after {seconds:.0f} s, no time left")
            continue
        outcomes = tuple(_outcome(each, trial, seconds, first) for each in same)
        say("\n".join([*map(str, outcomes), *(explanation(trial, first) if trial.judged.problems else ())]))
        result = result.and_part(Run(outcomes=outcomes, tallies={trial.mode: trial.judged.tally}))
    return evolve(result, faults=Counter(each.fault for each in arena.trace if each.fault))


def _carried_out(trial: Trial, chosen: Experiment, first: int) -> None:
    """One trial, with everything whole before and after it."""
    began = time.time()
    try:
        trial.arena.heal()
        chosen.run(trial)
        check_bound(trial, first, began)
    except (TimeoutError, CallFailed, ProcessError, redis.RedisError) as error:
        trial.judged.problems.append(Problem(f"could not be carried out: {type(error).__name__}: {error}"))
    try:
        trial.arena.heal()
    except ProcessError as error:
        trial.judged.problems.append(Problem(f"the fleet did not recover: {error}"))


def _outcome(chosen: Experiment, trial: Trial, seconds: float, first: int) -> Outcome:
    shares = SHARES.get(chosen.id, ("",))
    problems = [each for each in trial.judged.problems if "+" not in each.text or each.text.startswith(shares)]
    return Outcome(
        id=chosen.id,
        mode=trial.mode,
        verdict=FAIL if problems else PASS,
        title=chosen.title,
        scaled=chosen.scaled and not trial.full,
        seconds=round(seconds, 1),
        problems=tuple(map(str, problems)),
        recovery=tuple(recovery_times(trial, first)),
    )
