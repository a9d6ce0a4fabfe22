"""Runs one execution after another, and reads from the backend's own log what became of each."""

import time
from collections.abc import Sequence
from typing import Any

from attrs import define, evolve, frozen

from unstract_devstack.demo.narrator import Narrator
from unstract_devstack.demo.outcomes import TERMINAL, ExecutionOutcome, FileOutcome
from unstract_devstack.multipart import Upload
from unstract_devstack.platform_client import Effect, ExecutionRow, FileRow, Platform
from unstract_devstack.processes import wait_until
from unstract_devstack.stack import Stack

LOOK_SECONDS = 0.25
# One file may take long, and nothing is written meanwhile.
STALL_SECONDS = 600.0
STATUS_WRITTEN = "executions.update_status"
NOT_STARTED = "not started: the execution was stopped before"
FILE_STATUS_WRITTEN = "files.update_status"


@frozen
class Session:
    """What a run needs: the stack, a client of its backend, and the narrator of its steps."""

    stack: Stack
    platform: Platform
    narrator: Narrator


@define
class Followed:
    """An execution that was watched to its end, or until nothing moved any more."""

    effects: list[Effect]
    seconds: float

    @property
    def terminal(self) -> bool:
        """Whether a terminal status was written."""
        return bool(_terminal_writes(self.effects))

    def file_seconds(self) -> dict[str, float]:
        """How long each file was being processed, by the id of its row."""
        started: dict[str, float] = {}
        ended: dict[str, float] = {}
        for effect in self.effects:
            if effect.operation == FILE_STATUS_WRITTEN and effect.file is not None:
                if effect.status == "EXECUTING":
                    started.setdefault(effect.file, effect.at)
                else:
                    ended[effect.file] = effect.at
        return {file: ended[file] - at for file, at in started.items() if file in ended}


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
        _await_work(platform, execution_id)
        platform.stop(execution_id)
    followed = _follow(session, execution_id, title, len(uploads))
    row = platform.execution(execution_id)
    items = platform.results(api_name, execution_id).items if followed.terminal or stopped else ()
    by_name = {str(item["file"]): item for item in items}
    # An execution that failed as a whole has no results; its own reason is then every file's.
    missing, seconds = NOT_STARTED if stopped else row.error or None, followed.file_seconds()
    files = (_api_file(upload.name, by_name.get(upload.name), missing, seconds) for upload in uploads)
    return _outcome(row, title, "api", followed, tuple(files))


def _await_work(platform: Platform, execution_id: str) -> None:
    def worked() -> bool:
        return any(effect.operation == "files.execute" for effect in platform.effects(execution_id))

    wait_until(worked, seconds=STALL_SECONDS, pause=0.02)


def run_pipeline(session: Session, title: str, pipeline_id: str, folder: str, total: int) -> ExecutionOutcome:
    """Triggers a pipeline and collects what became of the files of its source `folder`."""
    execution_id = session.platform.trigger(pipeline_id)
    if execution_id is None:
        raise LookupError("the backend started the pipeline without an execution id")
    followed = _follow(session, execution_id, title, total)
    row = session.platform.execution(execution_id)
    seconds = followed.file_seconds()
    files = (_pipeline_file(file, folder, row, seconds) for file in row.files)
    return _outcome(row, title, "etl", followed, tuple(files))


def recounted(platform: Platform, outcome: ExecutionOutcome) -> ExecutionOutcome:
    """`outcome` with the terminal writes that there are by now."""
    return evolve(outcome, callbacks=len(_terminal_writes(platform.effects(outcome.id))))


def _follow(session: Session, execution_id: str, title: str, total: int) -> Followed:
    """Watches an execution until a terminal status is written or nothing has happened for long."""
    started = moved = time.monotonic()
    effects: list[Effect] = []
    with session.narrator.bar(title, total) as show:
        while True:
            new = session.platform.effects(execution_id, after=effects[-1].id if effects else 0)
            effects.extend(new)
            now = time.monotonic()
            moved = now if new else moved
            show(min(total, _files_done(effects)))
            if _terminal_writes(effects) or now - moved > STALL_SECONDS:
                break
            session.stack.fleet.check()
            time.sleep(LOOK_SECONDS)
    session.narrator.step(f"{title}: {total} files, {now - started:.1f} s")
    return Followed(effects, now - started)


def _files_done(effects: Sequence[Effect]) -> int:
    ends = (each for each in effects if each.operation == FILE_STATUS_WRITTEN and each.status in TERMINAL)
    return len({each.file for each in ends})


def _terminal_writes(effects: Sequence[Effect]) -> list[Effect]:
    return [each for each in effects if each.operation == STATUS_WRITTEN and each.status in TERMINAL]


def _api_file(name: str, item: Any, missing: str | None, seconds: dict[str, float]) -> FileOutcome:
    if item is None:
        return FileOutcome(name, "Failed", missing, None)
    return FileOutcome(
        name=name,
        status=str(item["status"]),
        error=item["error"],
        result=_content(item["result"]),
        seconds=seconds.get(str(item["file_execution_id"])),
    )


def _pipeline_file(file: FileRow, folder: str, row: ExecutionRow, seconds: dict[str, float]) -> FileOutcome:
    done = file.status == "COMPLETED"
    return FileOutcome(
        name=file.path.removeprefix(f"{folder}/"),
        status="Success" if done else "Failed",
        error=None if done else file.error or row.error or None,
        result=_content(file.result),
        seconds=seconds.get(file.id),
    )


def _content(result: Any) -> Any:
    """What was extracted, without the tool's own bookkeeping around it."""
    return result["output"] if isinstance(result, dict) and "output" in result else result


def _outcome(
    row: ExecutionRow, title: str, kind: str, followed: Followed, files: tuple[FileOutcome, ...]
) -> ExecutionOutcome:
    return ExecutionOutcome(
        id=row.id,
        title=title,
        kind=kind,
        status=row.status,
        total=row.total,
        successful=row.successful,
        failed=row.failed,
        callbacks=len(_terminal_writes(followed.effects)),
        seconds=followed.seconds,
        files=files,
    )
