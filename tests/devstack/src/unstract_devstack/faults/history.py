"""What the backend says happened: its log of applied effects, its executions, its requests. Nothing else is believed."""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from attrs import define, field, frozen

from unstract_devstack.http_calls import call_json


@frozen
class Applied:
    """One effect that the backend applied, in the order of `id`; `at` is seconds since the epoch."""

    id: int
    at: float
    operation: str
    execution_id: str | None
    file: str | None
    key: str | None
    detail: Mapping[str, Any]

    @property
    def status(self) -> str:
        """The status that was written, if one was."""
        return str(self.detail.get("status") or "")


@frozen
class Ended:
    """An execution as its row shows it."""

    id: str
    status: str
    total: int
    successful: int
    failed: int
    error: str
    pipeline_id: str | None = None


@frozen
class Request:
    """One request that the backend saw; status 0 where the connection was cut."""

    at: float
    method: str
    path: str
    key: str | None
    status: int
    seconds: float


@define
class History:
    """Reads one backend's history; effects are fetched once and kept."""

    url: str
    api_key: str = field(repr=False)
    _effects: dict[str, list[Applied]] = field(factory=lambda: defaultdict(list), init=False)
    _last: int = field(default=0, init=False)

    def refresh(self) -> None:
        """Fetches the effects that were applied since the last time."""
        for row in self._get(f"history?after={self._last}"):
            detail = row["detail"] or {}
            effect = Applied(
                row["id"], row["at"], row["operation"], row["execution_id"], row["file"], row["key"], detail
            )
            self._last = effect.id
            self._effects[effect.execution_id or ""].append(effect)

    def of(self, execution_id: str) -> tuple[Applied, ...]:
        """The effects of one execution, as fetched last."""
        return tuple(self._effects.get(execution_id, ()))

    def executions(self, organization: str) -> dict[str, Ended]:
        """The executions of an organization, by id."""
        rows = self._get(f"executions?files=false&organization_id={quote(organization)}")
        return {row["id"]: _ended(row) for row in rows}

    def file_statuses(self, execution_id: str) -> dict[str, str]:
        """The status of each file's row, by name."""
        (row,) = self._get(f"executions?execution_id={quote(execution_id)}")
        return {file["name"]: file["status"] for file in row["files"]}

    def file_errors(self, execution_id: str) -> dict[str, str]:
        """What each file's row says went wrong, by name; empty if nothing did."""
        (row,) = self._get(f"executions?execution_id={quote(execution_id)}")
        return {file["name"]: file["error"] or "" for file in row["files"]}

    def requests(self, *, since: float) -> tuple[Request, ...]:
        """The requests since a time, oldest first."""
        rows = self._get(f"requests?since={since}")
        return tuple(
            Request(row["at"], row["method"], row["path"], row["key"], row["status"], row["seconds"]) for row in rows
        )

    def _get(self, path: str) -> Any:
        return call_json("GET", f"{self.url}/dev/{path}", key=self.api_key)


def _ended(row: Mapping[str, Any]) -> Ended:
    return Ended(
        id=row["id"],
        status=row["status"],
        total=row["total_files"] or 0,
        successful=row["successful_files"] or 0,
        failed=row["failed_files"] or 0,
        error=row["error_message"] or "",
        pipeline_id=row["pipeline_id"],
    )
