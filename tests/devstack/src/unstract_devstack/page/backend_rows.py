"""Executions and their files, read from the reference backend's database: never written, never locked."""

import json
import re
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from attrs import field, frozen

from unstract_devstack.page.shapes import ExecutionLine, FileLine
from unstract_devstack.page.summaries import Summaries

TERMINAL = ("COMPLETED", "ERROR", "STOPPED")
EXECUTIONS = """
SELECT e.rowid AS number, e.id, e.status, e.total_files, e.successful_files, e.failed_files, e.error_message,
    e.created, e.execution_time, e.execution_log_id, e.pipeline_id, e.workflow_id, w.type AS kind, o.organization_id,
    COALESCE(a.api_name, p.name, w.name) AS deployment,
    (SELECT file_name FROM file_executions f WHERE f.execution_id = e.id ORDER BY f.rowid LIMIT 1) AS first_file,
    (SELECT COUNT(*) FROM file_executions f
     WHERE f.execution_id = e.id AND f.status IN ('COMPLETED', 'ERROR', 'STOPPED')) AS ended,
    (SELECT COUNT(*) FROM file_executions f WHERE f.execution_id = e.id AND f.status = 'ERROR') AS errors
FROM executions e
JOIN workflows w ON w.id = e.workflow_id
JOIN organizations o ON o.pk = e.organization_pk
LEFT JOIN api_deployments a ON a.id = e.pipeline_id
LEFT JOIN pipelines p ON p.id = e.pipeline_id
"""
FILES = """
SELECT id, file_name, file_path, status, file_size, execution_time, execution_error, EXISTS (SELECT 1 FROM results r
    WHERE r.execution_id = f.execution_id AND r.file_execution_id = f.id AND r.result != 'null') AS has_result
FROM file_executions f WHERE execution_id = ? ORDER BY rowid LIMIT ?
"""
FOUND = r"""
(e.id LIKE :start ESCAPE '\' OR e.status LIKE :start ESCAPE '\' OR deployment LIKE :part ESCAPE '\'
    OR e.error_message LIKE :part ESCAPE '\' OR EXISTS (SELECT 1 FROM file_executions f
        WHERE f.execution_id = e.id AND COALESCE(f.file_path, f.file_name) LIKE :part ESCAPE '\'))
"""
RESULT = """
SELECT r.result FROM results r WHERE r.execution_id = ? AND r.file_execution_id = ? AND r.result != 'null'
ORDER BY r.id DESC LIMIT 1
"""
EFFECTS = "SELECT id, at, operation, file, detail FROM effects WHERE execution_id = ? ORDER BY id DESC LIMIT ?"


@frozen
class EffectRow:
    """An effect that the backend applied."""

    id: int
    at: float
    operation: str
    file: str
    detail: Mapping[str, Any]


@frozen
class BackendRows:
    """The rows of the database at `path`, which the backend has created already."""

    path: Path
    _summaries: Summaries = field(factory=Summaries, repr=False, eq=False)

    def executions(self, *, before: int | None, limit: int, search: str = "") -> tuple[ExecutionLine, ...]:
        """The newest executions, or the newest of those before a number.

        `search`: only those whose id or status begins with it, or whose name, error or files' paths hold it.
        """
        part = re.sub(r"([%_\\])", r"\\\1", search)
        values = {"before": before, "limit": limit, "start": f"{part}%", "part": f"%{part}%"}
        where = f"WHERE (:before IS NULL OR e.rowid < :before) {f'AND {FOUND}' if search else ''}"
        with self._reading() as connection:
            rows = connection.execute(f"{EXECUTIONS} {where} ORDER BY e.rowid DESC LIMIT :limit", values)
            return tuple(_execution(row) for row in rows)

    def execution(self, execution_id: str) -> ExecutionLine | None:
        """One execution, if it is there."""
        with self._reading() as connection:
            row = connection.execute(f"{EXECUTIONS} WHERE e.id = ?", (execution_id,)).fetchone()
        return None if row is None else _execution(row)

    def counts(self) -> dict[str, int]:
        """How many executions there are of each status."""
        with self._reading() as connection:
            rows = connection.execute("SELECT status, COUNT(*) FROM executions GROUP BY status ORDER BY status")
            return {str(status): int(count) for status, count in rows}

    def files(self, execution_id: str, *, limit: int) -> tuple[FileLine, ...]:
        """The first files of an execution."""
        with self._reading() as connection:
            rows = connection.execute(FILES, (execution_id, limit)).fetchall()
            summaries = self._summaries.of(connection, execution_id, [row["id"] for row in rows])
        return tuple(_file(row, summaries.get(row["id"], "")) for row in rows)

    def result(self, execution_id: str, file_id: str) -> str | None:
        """The newest result of a file, as JSON; None where there is none."""
        with self._reading() as connection:
            row = connection.execute(RESULT, (execution_id, file_id)).fetchone()
        return None if row is None else str(row[0])

    def file_count(self, execution_id: str) -> int:
        """How many file rows an execution has."""
        with self._reading() as connection:
            query = "SELECT COUNT(*) FROM file_executions WHERE execution_id = ?"
            return int(connection.execute(query, (execution_id,)).fetchone()[0])

    def effects(self, execution_id: str, *, limit: int) -> tuple[EffectRow, ...]:
        """The newest effects on an execution, oldest first."""
        with self._reading() as connection:
            rows = connection.execute(EFFECTS, (execution_id, limit)).fetchall()
        return tuple(_effect(row) for row in reversed(rows))

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        # A connection each time: pages are asked for on many threads, and opening a file takes 0.1 ms.
        with closing(sqlite3.connect(f"{self.path.as_uri()}?mode=ro", uri=True, timeout=5)) as connection:
            connection.row_factory = sqlite3.Row
            yield connection


def _execution(row: sqlite3.Row) -> ExecutionLine:
    terminal = row["status"] in TERMINAL
    successful, failed = row["successful_files"], row["failed_files"]
    counted = terminal and successful is not None
    return ExecutionLine(
        number=row["number"],
        id=row["id"],
        kind=row["kind"],
        deployment=row["deployment"],
        first_file=row["first_file"] or "",
        organization=row["organization_id"],
        status=row["status"],
        total=row["total_files"] or 0,
        ended=successful + (failed or 0) if counted else row["ended"],
        failed=(failed or 0) if counted else row["errors"],
        error=row["error_message"] or "",
        created=row["created"],
        seconds=row["execution_time"] if terminal else None,
        channel=row["execution_log_id"] or row["pipeline_id"] or "",
        workflow_id=row["workflow_id"],
        pipeline_id=row["pipeline_id"] or "",
    )


def _file(row: sqlite3.Row, summary: str) -> FileLine:
    return FileLine(
        id=row["id"],
        name=row["file_name"],
        path=row["file_path"] or row["file_name"],
        status=row["status"],
        size=row["file_size"],
        seconds=row["execution_time"],
        error=row["execution_error"] or "",
        summary=summary,
        has_result=bool(row["has_result"]),
    )


def _effect(row: sqlite3.Row) -> EffectRow:
    detail: Sequence[Any] | Mapping[str, Any] = json.loads(row["detail"] or "{}")
    known = detail if isinstance(detail, Mapping) else {}
    return EffectRow(row["id"], row["at"], row["operation"], row["file"] or "", known)
