"""Runs one execution after another, and reads from the backend's own log what became of each."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

from attrs import evolve, frozen

from unstract_devstack.demo.report import TERMINAL, ExecutionOutcome, FileOutcome, Narrator
from unstract_devstack.multipart import Upload
from unstract_devstack.platform_client import Effect, ExecutionRow, FileRow, Platform
from unstract_devstack.processes import wait_until
from unstract_devstack.stack import Stack

LOOK_SECONDS = 0.25
# One file may take long, and nothing is written meanwhile.
STALL_SECONDS = 600.0
NOT_STARTED = "not started: the execution was stopped before"
FILE_STATUS_WRITTEN = "files.update_status"


@frozen
class Session:
    """What a run needs: the stack, a client of its backend, and the narrator of its steps."""

    stack: Stack
    platform: Platform
    narrator: Narrator


def run_api(
    session: Session,
    title: str,
    api_name: str,
    uploads: Sequence[Upload],
    *,
    use_file_history: bool = False,
    stopped: bool = False,
) -> ExecutionOutcome:
    """Sends files to an API deployment and collects the results from its public face.

    `stopped`: the execution is stopped once a file is done.
    """
    platform = session.platform
    execution_id = platform.send_files(api_name, uploads, use_file_history=use_file_history)
    if stopped:
        wait_until(
            lambda: any(each.operation == "files.execute" for each in platform.effects(execution_id)),
            seconds=STALL_SECONDS,
        )
        platform.stop(execution_id)
    effects, seconds = _follow(session, execution_id, title, len(uploads))
    row = platform.execution(execution_id)
    items = platform.results(api_name, execution_id).items if _terminal_writes(effects) or stopped else ()
    by_name = {str(item["file"]): item for item in items}
    # An execution that failed as a whole has no results; its own reason is then every file's.
    missing, took = NOT_STARTED if stopped else row.error or None, _file_seconds(effects)
    files = (_api_file(upload.name, by_name.get(upload.name), missing, took) for upload in uploads)
    return _outcome(row, title, effects, seconds, files=tuple(files), kind="api")


def run_pipeline(session: Session, title: str, pipeline_id: str, folder: str, total: int) -> ExecutionOutcome:
    """Triggers a pipeline and collects what became of the files of its source `folder`."""
    execution_id = session.platform.trigger(pipeline_id)
    if execution_id is None:
        raise LookupError("the backend started the pipeline without an execution id")
    effects, seconds = _follow(session, execution_id, title, total)
    row, took = session.platform.execution(execution_id), _file_seconds(effects)
    files = (_pipeline_file(file, folder, row, took) for file in row.files)
    return _outcome(row, title, effects, seconds, files=tuple(files), kind="etl")


def recounted(platform: Platform, outcome: ExecutionOutcome) -> ExecutionOutcome:
    """`outcome` with the terminal writes that there are by now."""
    return evolve(outcome, callbacks=_terminal_writes(platform.effects(outcome.id)))


def _follow(session: Session, execution_id: str, title: str, total: int) -> tuple[list[Effect], float]:
    """Watches an execution until a terminal status is written or nothing has happened for long; how many seconds."""
    started = moved = time.monotonic()
    effects: list[Effect] = []
    with session.narrator.bar(title, total) as show:
        while True:
            new = session.platform.effects(execution_id, after=effects[-1].id if effects else 0)
            effects.extend(new)
            now = time.monotonic()
            moved = now if new else moved
            ends = [each for each in effects if each.operation == FILE_STATUS_WRITTEN and each.status in TERMINAL]
            show(min(total, len({each.file for each in ends})))
            if _terminal_writes(effects) or now - moved > STALL_SECONDS:
                break
            session.stack.fleet.check()
            time.sleep(LOOK_SECONDS)
    session.narrator.step(f"{title}: {total} files, {now - started:.1f} s")
    return effects, now - started


def _terminal_writes(effects: Sequence[Effect]) -> int:
    return sum(each.operation == "executions.update_status" and each.status in TERMINAL for each in effects)


def _file_seconds(effects: Sequence[Effect]) -> dict[str | None, float]:
    """How long each file was being processed, by the id of its row."""
    started: dict[str | None, float] = {}
    ended: dict[str | None, float] = {}
    for effect in effects:
        if effect.operation == FILE_STATUS_WRITTEN and effect.status == "EXECUTING":
            started.setdefault(effect.file, effect.at)
        elif effect.operation == FILE_STATUS_WRITTEN:
            ended[effect.file] = effect.at
    return {file: ended[file] - at for file, at in started.items() if file in ended}


def _api_file(name: str, item: Any, missing: str | None, seconds: Mapping[str | None, float]) -> FileOutcome:
    if item is None:
        return FileOutcome(name, "Failed", missing, None)
    took = seconds.get(str(item["file_execution_id"]))
    return FileOutcome(name, str(item["status"]), item["error"], _content(item["result"]), took)


def _pipeline_file(
    file: FileRow, folder: str, row: ExecutionRow, seconds: Mapping[str | None, float]
) -> FileOutcome:  # fmt: skip
    name, result, took = (file.path or "").removeprefix(f"{folder}/"), _content(file.result), seconds.get(file.id)
    if file.status == "COMPLETED":
        return FileOutcome(name, "Success", None, result, took)
    return FileOutcome(name, "Failed", file.error or row.error or None, result, took)


def _content(result: Any) -> Any:
    """What was extracted, without the tool's own bookkeeping around it."""
    return result["output"] if isinstance(result, dict) and "output" in result else result


def _outcome(
    row: ExecutionRow,
    title: str,
    effects: Sequence[Effect],
    seconds: float,
    *,
    files: tuple[FileOutcome, ...],
    kind: str,
) -> ExecutionOutcome:
    counts = (row.total, row.successful, row.failed, _terminal_writes(effects))
    return ExecutionOutcome(row.id, title, kind, row.status, *counts, seconds, files)
