"""What came of a run: per experiment, and summed up as the one line that other programs read."""

import json
from collections import Counter
from collections.abc import Iterable

import cattrs
from attrs import asdict, evolve, field, frozen

from unstract_devstack.faults.checker import Tally

PASS, FAIL, NOT_RUN = "pass", "fail", "not run"
ALL_IDS = tuple(
    f"{letter}{number}"
    for letter, count in (("R", 34), ("B", 12), ("M", 7), ("W", 8), ("S", 8))
    for number in range(1, count + 1)
)
FIRST = frozenset(
    {
        *(f"R{number}" for number in (*range(1, 10), 12, 17, 19, 21, 22, *range(26, 30))),
        *("B1", "B2", "B3", "B4", "B9", "M1", "M2", "M3", "S1", "S2"),
    }
)
"""The ids that no run should be without: they are tried before the others, in case that time runs out."""


@frozen
class Outcome:
    """One experiment in one mode. `recovery`: seconds from the last fault to the end of each execution it hit."""

    id: str
    mode: str
    verdict: str
    title: str
    scaled: bool
    seconds: float
    problems: tuple[str, ...] = ()
    recovery: tuple[float, ...] = ()

    def __str__(self) -> str:
        scaled = " (scaled down)" if self.scaled else ""
        return f"{self.id:>8}  {self.verdict}  {self.mode}, {self.seconds:.1f} s{scaled}: {self.title}"


@frozen
class Run:
    """A whole run, or a part: `executions` and `kills` are per mode, `faults` counts what was done by kind."""

    seed: int = 0
    executions: int = 0
    kills: int = 0
    full: bool = False
    started_at: float = 0.0
    seconds: float = 0.0
    outcomes: tuple[Outcome, ...] = ()
    tallies: dict[str, Tally] = field(factory=dict)
    faults: Counter[str] = field(factory=Counter)

    @classmethod
    def failed(cls, ids: Iterable[str], mode: str, problem: str) -> "Run":
        """That experiments failed together."""
        return cls(outcomes=tuple(Outcome(each, mode, FAIL, each, False, 0.0, problems=(problem,)) for each in ids))

    def and_part(self, part: "Run") -> "Run":
        """This with what came of a part of it."""
        modes = dict.fromkeys((*self.tallies, *part.tallies))
        tallies = {mode: self.tallies.get(mode, Tally()) + part.tallies.get(mode, Tally()) for mode in modes}
        outcomes = (*self.outcomes, *part.outcomes)
        return evolve(self, outcomes=outcomes, tallies=tallies, faults=self.faults + part.faults)

    @property
    def total(self) -> Tally:
        return sum(self.tallies.values(), Tally())

    def results(self) -> dict[str, str]:
        """The verdict of every id: it passed if it did in each mode in which it ran."""
        verdicts: dict[str, str] = dict.fromkeys(ALL_IDS, NOT_RUN)
        for outcome in self.outcomes:
            if outcome.verdict == FAIL or verdicts[outcome.id] == NOT_RUN:
                verdicts[outcome.id] = outcome.verdict
        return verdicts

    @property
    def ok(self) -> bool:
        """Whether something ran and nothing failed."""
        verdicts = self.results().values()
        return PASS in verdicts and FAIL not in verdicts

    def line(self) -> str:
        """The last line of the output."""
        head = {"ok": self.ok, "seed": self.seed, **asdict(self.total)}
        return json.dumps({**head, "faults": dict(sorted(self.faults.items())), "results": self.results()})

    def saved(self) -> str:
        return json.dumps(cattrs.unstructure(self), indent=1) + "\n"

    @classmethod
    def read(cls, text: str) -> "Run":
        """The run that `saved` wrote."""
        return cattrs.structure(json.loads(text), cls)
