"""What the stand-in was paid for, and what shall go wrong with it: files in a folder that its processes share."""

import json
import os
import time
import uuid
from collections import Counter
from pathlib import Path
from typing import Any

from attrs import asdict, frozen


@frozen
class Fault:
    """What goes wrong with the next request.

    Attributes:
        kind: delay (answer after `seconds`), fail (the task raises), kill (the process dies after the extraction),
            lose (extracted, never answered), refuse (success is false), repeat (answered twice).
        name: only of a file of this name; empty: of any.
    """

    kind: str
    seconds: float = 0.0
    name: str = ""


@frozen
class Bill:
    """The folder."""

    folder: Path

    def prepare(self) -> None:
        """Make the folder."""
        (self.folder / "faults").mkdir(parents=True, exist_ok=True)

    def pay(self, request: dict[str, Any], name: str) -> None:
        """Note an extraction, before its answer."""
        line = {"at": time.time(), "pid": os.getpid(), "file": request["file_execution_id"], "name": name,
                "execution": request["execution_id"]}  # fmt: skip
        with (self.folder / "extractions.jsonl").open("a") as file:  # a line of this length is appended whole
            file.write(json.dumps(line) + "\n")

    def lines(self) -> list[dict[str, Any]]:
        """Every extraction, in order."""
        path = self.folder / "extractions.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def per_file(self, execution_id: str | None = None) -> Counter[str]:
        """How often each file was extracted, by the id of its row."""
        return Counter(line["file"] for line in self.lines() if execution_id in (None, line["execution"]))

    def add(self, fault: Fault, count: int = 1) -> None:
        """Have this go wrong with the next `count` requests that it fits."""
        for _ in range(count):
            partial = self.folder / f"{uuid.uuid4().hex}.partial"
            partial.write_text(json.dumps(asdict(fault)))
            partial.rename(self.folder / "faults" / f"{time.time_ns()}-{uuid.uuid4().hex}.json")

    def forget_faults(self) -> None:
        """Nothing goes wrong with the next requests."""
        for path in (self.folder / "faults").glob("*.json"):
            path.unlink(missing_ok=True)

    def take(self, name: str) -> Fault | None:
        """The oldest fault that fits a file of this name; it happens once."""
        for path in sorted((self.folder / "faults").glob("*.json")):
            try:
                fault = Fault(**json.loads(path.read_text()))
                if fault.name in ("", name):
                    path.unlink()
                    return fault
            except FileNotFoundError:
                continue  # another process took it
        return None
