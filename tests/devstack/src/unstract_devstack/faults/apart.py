"""A part of a run in a process of its own, beside the rest: another mode, or workers configured differently."""

import sys
from collections.abc import Sequence
from pathlib import Path

from attrs import frozen

from unstract_devstack.faults.outcome import FAIL, Outcome, Run
from unstract_devstack.processes import ManagedProcess, inherited_environment

OVERRUN = 60.0


@frozen
class Apart:
    """One such part under way; `ids` are its experiments."""

    ids: tuple[str, ...]
    mode: str
    seconds: float
    folder: Path
    process: ManagedProcess

    @classmethod
    def start(cls, ids: Sequence[str], mode: str, arguments: Sequence[str], directory: Path, seconds: float) -> "Apart":
        """Starts it; it has `seconds`. `arguments` are further ones of the command line."""
        name = f"{mode}-{ids[0]}-apart"
        folder = directory / name
        folder.mkdir(parents=True)
        given = ("--only", ",".join(ids), "--mode", mode, "--seconds", str(seconds), *arguments)
        process = ManagedProcess(
            name=name,
            command=(
                *(sys.executable, "-m", "unstract_devstack.faults", *given),
                *("--save", str(folder / "run.json"), "--keep", str(folder / "arena")),
            ),
            environment={**inherited_environment(), "PYTHONUNBUFFERED": "1"},
            log_path=folder / "run.log",
            output_path=folder / "run.out",
        )
        process.start()
        return cls(tuple(ids), mode, seconds, folder, process)

    def finish(self) -> tuple[str, Run]:
        """What it said, without its last line, and what came of it."""
        self.process.wait(seconds=self.seconds + OVERRUN)
        self.process.kill()
        said = (self.folder / "run.out").read_text(encoding="utf-8").rstrip().splitlines()
        saved = self.folder / "run.json"
        if saved.exists():
            return "\n".join(said[:-1]), Run.read(saved.read_text(encoding="utf-8"))
        problem = f"ended without a result: {self.process.log_tail()}"
        failed = (Outcome(each, self.mode, FAIL, each, False, 0.0, problems=(problem,)) for each in self.ids)
        return "\n".join([*said, f"{self.mode} {FAIL}  {problem}"]), Run(outcomes=tuple(failed))
