"""Executions and their files, read from the reference backend's database: never written, never locked."""

# ruff: noqa: S608 (queries are put together from names in this code; values are always bound)

import json
import re
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from attrs import field, frozen

from unstract_devstack.page.shapes import ExecutionLine, FileLine
from unstract_devstack.page.summaries import Summaries

ENDED = "('COMPLETED', 'ERROR', 'STOPPED')"
# A row for each ExecutionLine, and for each FileLine: the columns are named as their fields.
EXECUTIONS = f"""
SELECT e.rowid AS number, e.id, w.type AS kind, o.organization_id AS organization, e.status,
    COALESCE(a.api_name, p.name, w.name) AS deployment,
    COALESCE((SELECT file_name FROM file_executions f WHERE f.execution_id = e.id ORDER BY f.rowid LIMIT 1), '')
        AS first_file,
    COALESCE(e.total_files, 0) AS total,
    CASE WHEN e.status IN {ENDED} AND e.successful_files IS NOT NULL
        THEN e.successful_files + COALESCE(e.failed_files, 0)
        ELSE (SELECT COUNT(*) FROM file_executions f WHERE f.execution_id = e.id AND f.status IN {ENDED}) END AS ended,
    CASE WHEN e.status IN {ENDED} AND e.successful_files IS NOT NULL THEN COALESCE(e.failed_files, 0)
        ELSE (SELECT COUNT(*) FROM file_executions f WHERE f.execution_id = e.id AND f.status = 'ERROR') END AS failed,
    COALESCE(e.error_message, '') AS error, e.created,
    CASE WHEN e.status IN {ENDED} THEN e.execution_time END AS seconds,
    COALESCE(NULLIF(e.execution_log_id, ''), e.pipeline_id, '') AS channel, e.workflow_id,
    COALESCE(e.pipeline_id, '') AS pipeline_id
FROM executions e
JOIN workflows w ON w.id = e.workflow_id
JOIN organizations o ON o.pk = e.organization_pk
LEFT JOIN api_deployments a ON a.id = e.pipeline_id
LEFT JOIN pipelines p ON p.id = e.pipeline_id
"""
FILES = """
SELECT id, file_name AS name, COALESCE(NULLIF(file_path, ''), file_name) AS path, status, file_size AS size,
    execution_time AS seconds, COALESCE(execution_error, '') AS error, EXISTS (SELECT 1 FROM results r
    WHERE r.execution_id = f.execution_id AND r.file_execution_id = f.id AND r.result != 'null') AS has_result
FROM file_executions f WHERE execution_id = ? ORDER BY rowid LIMIT ?
"""
FOUND = r"""
(e.id LIKE :start ESCAPE '\' OR e.status LIKE :start ESCAPE '\' OR folded(deployment) LIKE :part ESCAPE '\'
    OR folded(e.error_message) LIKE :part ESCAPE '\' OR EXISTS (SELECT 1 FROM file_executions f
        WHERE f.execution_id = e.id AND folded(COALESCE(f.file_path, f.file_name)) LIKE :part ESCAPE '\'))
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
        part = re.sub(r"([%_\\])", r"\\\1", search.casefold())
        values = {"before": before, "limit": limit, "start": f"{part}%", "part": f"%{part}%"}
        where = f"WHERE (:before IS NULL OR e.rowid < :before) {f'AND {FOUND}' if search else ''}"
        with self._reading() as connection:
            rows = connection.execute(f"{EXECUTIONS} {where} ORDER BY e.rowid DESC LIMIT :limit", values)
            return tuple(ExecutionLine(**row) for row in rows)

    def execution(self, execution_id: str) -> ExecutionLine | None:
        """One execution, if it is there."""
        with self._reading() as connection:
            row = connection.execute(f"{EXECUTIONS} WHERE e.id = ?", (execution_id,)).fetchone()
        return None if row is None else ExecutionLine(**row)

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
        return tuple(FileLine(**row, summary=summaries.get(row["id"], "")) for row in rows)

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
            # SQLite's LIKE finds "report" by "REPORT", and not so what is beyond ASCII.
            connection.create_function("folded", 1, lambda text: text and text.casefold(), deterministic=True)
            yield connection


def _effect(row: sqlite3.Row) -> EffectRow:
    detail = json.loads(row["detail"] or "{}")
    known = detail if isinstance(detail, Mapping) else {}
    return EffectRow(row["id"], row["at"], row["operation"], row["file"] or "", known)
