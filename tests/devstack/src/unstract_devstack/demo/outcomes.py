"""What a demo run ends in: files, executions, webhooks, and whether all of it is as it should be."""

from collections.abc import Sequence
from typing import Any

from attrs import define, field, frozen

TERMINAL = frozenset({"COMPLETED", "ERROR", "STOPPED"})


@frozen
class FileOutcome:
    """One file of one execution: its name, "Success" or "Failed", the reason or the result.

    `seconds` is the time its processing took, where that is known.
    """

    name: str
    status: str
    error: str | None
    result: Any = field(repr=False)
    seconds: float | None = None

    def as_json(self) -> dict[str, Any]:
        """The file's entry in the JSON report."""
        return {"name": self.name, "status": self.status, "error": self.error, "result": self.result}


@frozen
class ExecutionOutcome:
    """One execution as the backend shows it at the end.

    `callbacks` counts how often its terminal status was written; `title` says in words what it was.
    """

    id: str
    title: str
    kind: str
    status: str
    total: int
    successful: int
    failed: int
    callbacks: int
    seconds: float
    files: tuple[FileOutcome, ...]

    @property
    def terminal(self) -> bool:
        """Whether the execution ended."""
        return self.status in TERMINAL

    def as_json(self) -> dict[str, Any]:
        """The execution's entry in the JSON report."""
        names = ("id", "kind", "status", "total", "successful", "failed", "callbacks")
        return {name: getattr(self, name) for name in names}


@define
class Report:
    """The whole run. `problems` says in words what is not as it should be; with none, `claim` holds.

    `extractions`: the files that an executor had, and how often it extracted one.
    """

    claim: str = "Every outcome is the expected one"
    executions: list[ExecutionOutcome] = field(factory=list)
    files: list[FileOutcome] = field(factory=list)
    webhooks: list[str] = field(factory=list)
    problems: list[str] = field(factory=list)
    seconds: float = 0.0
    extractions: dict[str, int] | None = None

    @property
    def ok(self) -> bool:
        """Whether every outcome is the expected one."""
        return not self.problems

    def add(self, execution: ExecutionOutcome, problems: Sequence[str]) -> None:
        """Takes over one execution, its files, and what is wrong with it."""
        self.executions.append(execution)
        self.files.extend(execution.files)
        self.problems.extend(f"{execution.title}: {problem}" for problem in problems)

    def as_json(self) -> dict[str, Any]:
        """The JSON report."""
        return {
            "ok": self.ok,
            "seconds": round(self.seconds, 2),
            "executions": [execution.as_json() for execution in self.executions],
            "webhooks_delivered": len(self.webhooks),
            "files": [file.as_json() for file in self.files],
            **({"executor": self.extractions} if self.extractions is not None else {}),
        }
