"""Runs experiments: one stack per mode of the backend, one trial after the other, each within its time."""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import groupby
from pathlib import Path

import redis
from attrs import define, evolve, field, frozen

from unstract_devstack.faults import experiments  # noqa: F401 - registers them
from unstract_devstack.faults.aftermath import check_bound, explanation, recovery_times
from unstract_devstack.faults.apart import Apart
from unstract_devstack.faults.arena import BACKEND, BROKER, STORE, Arena, open_arena
from unstract_devstack.faults.outcome import FAIL, FIRST, PASS, Outcome, Run
from unstract_devstack.faults.registry import AS_REAL, EXPERIMENTS, KEYED, Experiment, Trial
from unstract_devstack.faults.tally import Problem, Tally
from unstract_devstack.faults.tested import Tests, ids_with_tests
from unstract_devstack.http_calls import CallFailed
from unstract_devstack.processes import ProcessError

SHORTEST_TRIAL = 20.0
ENDING = 15.0
# Which of a random run's problems are which experiment's.
SHARES = {"R1": ("callbacks_lost",), "R2": ("effects_",), "R3": ("callbacks_", "notifications_", "status_regressions")}


@frozen
class Lane:
    """Experiments in one mode of the backend, made one after the other."""

    mode: str
    experiments: tuple[Experiment, ...]


@define
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
    say: Callable[[str], None] = field(default=lambda text: print(text, flush=True))  # noqa: T201

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
            selected = self.selected(mode)
            for shared in (True, False):
                part = tuple(each for each in selected if each.ground.shared is shared)
                lanes.extend([Lane(mode, part)] if part else [])
        return lanes

    def tested(self) -> tuple[str, ...]:
        """The ids whose tests are to be run: those that are chosen, or all in a whole run."""
        if self.chosen:
            return tuple(each for each in ids_with_tests() if each in self.chosen)
        return () if self.quick or len(self.modes) == 1 else ids_with_tests()

    def arguments(self) -> tuple[str, ...]:
        """The sizes, for another process of the same run."""
        numbers = {"--seed": self.seed, "--executions": self.executions, "--kills": self.kills}
        given = tuple(part for name, number in numbers.items() for part in (name, str(number)))
        return (*given, "--long") if self.full else given


@define
class _Running:
    """A run under way."""

    options: Options
    directory: Path
    began: float = field(factory=time.monotonic)
    result: Run = field(init=False)

    def __attrs_post_init__(self) -> None:
        options = self.options
        self.result = Run(options.seed, options.executions, options.kills, options.full, time.time())

    def lane(self, lane: Lane) -> None:
        """One fleet after the other, each for the experiments of its ground."""
        deadline = self.began + self.options.seconds - ENDING
        for _, group in groupby(lane.experiments, key=lambda each: each.ground):
            self._on_a_fleet(lane.mode, list(group), deadline)

    def apart(self, lane: Lane) -> Apart:
        """Starts a lane in another process."""
        ids, options = [each.id for each in lane.experiments], self.options
        return Apart.start(ids, lane.mode, options.arguments(), self.directory, options.seconds)

    def tests(self) -> list[Tests]:
        """Starts the tests, if any are asked for."""
        ids = self.options.tested()
        return [Tests.start(ids, self.directory, self.options.seconds - ENDING)] if ids else []

    def join(self, apart: Apart | Tests) -> None:
        """Waits for another process and takes what came of it into this run."""
        said, outcome = apart.finish()
        self.options.say(said)
        self._take(outcome)

    def _on_a_fleet(self, mode: str, selected: Sequence[Experiment], deadline: float) -> None:
        folder, ground, outcomes = self.directory / f"{mode}-{selected[0].id}", selected[0].ground, list[Outcome]()
        relayed = (BROKER, STORE, BACKEND) if ground.relayed else ()
        try:
            with open_arena(folder, keyed=mode == KEYED, settings=ground.settings, relayed=relayed) as arena:
                tally = _all(self.options, arena, selected, deadline, outcomes)
                faults = Counter(each.fault or "" for each in arena.trace.faults())
        except ProcessError as error:
            problem = f"its fleet did not start: {error}"
            outcomes = [Outcome(each.id, mode, FAIL, each.title, False, 0.0, problems=(problem,)) for each in selected]
            self.options.say("\n".join(f"{each.id:>8}  {FAIL}  {problem}" for each in outcomes))
            self._take(Run(outcomes=tuple(outcomes)))
            return
        self._take(Run(outcomes=tuple(outcomes), tallies={mode: tally}, faults=faults))

    def _take(self, other: Run) -> None:
        result = self.result
        tallies = dict(result.tallies)
        for mode, tally in other.tallies.items():
            tallies[mode] = tallies.get(mode, Tally()) + tally
        self.result = evolve(
            result, outcomes=(*result.outcomes, *other.outcomes), tallies=tallies, faults=result.faults + other.faults
        )


def run(options: Options, directory: Path) -> Run:
    """Everything that the options ask for and the time allows: the lanes side by side, and the tests beside them."""
    running = _Running(options, directory)
    lanes = options.lanes()
    beside: list[Apart | Tests] = [running.apart(lane) for lane in lanes[1:]]
    beside.extend(running.tests())
    if lanes:
        running.lane(lanes[0])
    for apart in beside:
        running.join(apart)
    return evolve(running.result, seconds=time.monotonic() - running.began)


def _all(
    options: Options, arena: Arena, selected: Sequence[Experiment], deadline: float, outcomes: list[Outcome]
) -> Tally:
    total = Tally()
    for _, group in groupby(selected, key=lambda each: each.run):
        same = list(group)
        if deadline - time.monotonic() < SHORTEST_TRIAL:
            options.say(f"{'/'.join(each.id for each in same):>8}  not run: no time left")
            continue
        trial = Trial(arena, options.seed, deadline, options.full, options.kills, options.executions)
        began, first = time.monotonic(), len(arena.trace.entries)
        _carried_out(trial, same[0], first)
        seconds = time.monotonic() - began
        if trial.cut:
            options.say(
                f"{'/'.join(each.id for each in same):>8}  not run: cut off after {seconds:.0f} s, no time left"
            )
            continue
        total += trial.judged.tally
        for each in same:
            outcomes.append(_outcome(each, trial, seconds, first))
            options.say(_line(outcomes[-1]))
        if trial.judged.problems:
            options.say(explanation(trial, first))
    return total


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
    shares = SHARES.get(chosen.id)
    problems = [
        problem
        for problem in trial.judged.problems
        if shares is None or "+" not in problem.text or problem.text.startswith(shares)
    ]
    return Outcome(
        id=chosen.id,
        mode=KEYED if trial.arena.keyed else AS_REAL,
        verdict=FAIL if problems else PASS,
        title=chosen.title,
        scaled=chosen.scaled and not trial.full,
        seconds=round(seconds, 1),
        problems=tuple(f"{problem.text} ({problem.execution_id})" for problem in problems),
        measured=tuple(f"{problem.text} ({problem.execution_id})" for problem in trial.judged.measured),
        recovery=tuple(recovery_times(trial, first)),
    )


def _line(outcome: Outcome) -> str:
    scaled = " (scaled down)" if outcome.scaled else ""
    return f"{outcome.id:>8}  {outcome.verdict}  {outcome.mode}, {outcome.seconds:.1f} s{scaled}: {outcome.title}"
