"""Executions and their files, read from the reference backend's database: never written, never locked."""

# ruff: noqa: S608 (queries are put together from names in this code; values are always bound)

import re
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from attrs import frozen

ENDED = "('COMPLETED', 'ERROR', 'STOPPED')"
# Times are seconds since the epoch. `number` grows with each execution; `seconds` is what the backend counted, NULL
# before the end; `channel` is where its log events go; `ended` and `failed` count files while it runs, and uploads once
# it is terminal. `title` is what people know it by: the files that were uploaded, else the deployment or pipeline.
EXECUTIONS = f"""
WITH named AS (
    SELECT e.*, COALESCE(a.api_name, p.name, e.workflow_name) AS deployment,
        COALESCE((SELECT file_name FROM file_executions f WHERE f.execution_id = e.id ORDER BY f.rowid LIMIT 1), '')
            AS first_file,
        e.status IN {ENDED} AS terminal, e.status IN {ENDED} AND e.successful_files IS NOT NULL AS counted
    FROM shown_executions e LEFT JOIN api_deployments a ON a.id = e.pipeline_id
    LEFT JOIN pipelines p ON p.id = e.pipeline_id)
SELECT number, id, workflow_type AS kind, organization_id AS organization, status, deployment, terminal,
    COALESCE(total_files, 0) AS total,
    CASE WHEN workflow_type != 'API' OR first_file = '' THEN deployment WHEN total_files < 2 THEN first_file
        ELSE first_file || ' and ' || (total_files - 1) || ' more' END AS title,
    CASE WHEN counted THEN successful_files + COALESCE(failed_files, 0)
        ELSE (SELECT COUNT(*) FROM file_executions f WHERE f.execution_id = e.id AND f.status IN {ENDED}) END AS ended,
    CASE WHEN counted THEN COALESCE(failed_files, 0)
        ELSE (SELECT COUNT(*) FROM file_executions f WHERE f.execution_id = e.id AND f.status = 'ERROR') END AS failed,
    COALESCE(error_message, '') AS error, created, CASE WHEN terminal THEN execution_time END AS seconds,
    COALESCE(NULLIF(execution_log_id, ''), pipeline_id, '') AS channel, workflow_id, pipeline_id
FROM named e
"""
FILES = """
SELECT f.id, file_name AS name, COALESCE(NULLIF(f.file_path, ''), file_name) AS path, f.status, file_size AS size,
    execution_time AS seconds, COALESCE(execution_error, '') AS error, COALESCE(r.summary, '') AS summary,
    r.result IS NOT NULL AS has_result
FROM file_executions f LEFT JOIN results r ON r.id =
    (SELECT MAX(id) FROM results WHERE execution_id = f.execution_id AND file_execution_id = f.id)
WHERE f.execution_id = ? ORDER BY f.rowid LIMIT ?
"""
FOUND = r"""
(e.id LIKE :start ESCAPE '\' OR e.status LIKE :start ESCAPE '\' OR folded(deployment) LIKE :part ESCAPE '\'
    OR folded(e.error_message) LIKE :part ESCAPE '\' OR EXISTS (SELECT 1 FROM file_executions f
        WHERE f.execution_id = e.id AND folded(COALESCE(f.file_path, f.file_name)) LIKE :part ESCAPE '\'))
"""
RESULT = "SELECT result FROM results WHERE execution_id = ? AND file_execution_id = ? AND result IS NOT NULL"


@frozen
class BackendRows:
    """The rows of the database at `path`, which the backend has created already."""

    path: Path

    def executions(self, *, before: int | None, limit: int, search: str = "") -> list[sqlite3.Row]:
        """The newest executions, or the newest of those before a number.

        `search`: only those whose id or status begins with it, or whose name, error or files' paths hold it.
        """
        part = re.sub(r"([%_\\])", r"\\\1", search.casefold())
        values = {"before": before, "limit": limit, "start": f"{part}%", "part": f"%{part}%"}
        where = f"WHERE (:before IS NULL OR number < :before) {f'AND {FOUND}' if search else ''}"
        return self._read(f"{EXECUTIONS} {where} ORDER BY number DESC LIMIT :limit", values)

    def execution(self, execution_id: str) -> sqlite3.Row | None:
        """One execution, if it is there."""
        return next(iter(self._read(f"{EXECUTIONS} WHERE e.id = ?", (execution_id,))), None)

    def counts(self) -> dict[str, int]:
        """How many executions there are of each status."""
        return {row[0]: row[1] for row in self._read("SELECT status, COUNT(*) FROM executions GROUP BY 1 ORDER BY 1")}

    def files(self, execution_id: str, *, limit: int) -> list[sqlite3.Row]:
        """The first files of an execution; `summary` is what was extracted, in a few words."""
        return self._read(FILES, (execution_id, limit))

    def result(self, execution_id: str, file_id: str) -> str | None:
        """The newest result of a file, as JSON; None where there is none."""
        rows = self._read(f"{RESULT} ORDER BY id DESC LIMIT 1", (execution_id, file_id))
        return str(rows[0][0]) if rows else None

    def file_count(self, execution_id: str) -> int:
        """How many file rows an execution has."""
        ((count,),) = self._read("SELECT COUNT(*) FROM file_executions WHERE execution_id = ?", (execution_id,))
        return int(count)

    def effects(self, execution_id: str, *, limit: int) -> list[sqlite3.Row]:
        """The newest effects on an execution, oldest first."""
        return self._read(
            "SELECT * FROM effects WHERE execution_id = ? ORDER BY id DESC LIMIT ?", (execution_id, limit)
        )[::-1]

    def _read(self, query: str, values: Sequence[Any] | dict[str, Any] = ()) -> list[sqlite3.Row]:
        # A connection each time: pages are asked for on many threads, and opening a file takes 0.1 ms.
        with closing(sqlite3.connect(f"{self.path.as_uri()}?mode=ro", uri=True, timeout=5)) as connection:
            connection.row_factory = sqlite3.Row
            # SQLite's LIKE finds "report" by "REPORT", and not so what is beyond ASCII.
            connection.create_function("folded", 1, lambda text: text and text.casefold(), deterministic=True)
            return connection.execute(query, values).fetchall()
