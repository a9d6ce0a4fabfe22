"""File history: look-ups by content, and the rows that are kept for them."""

from collections.abc import Iterable

from attrs import frozen

from unstract_worker_core import identifiers, serialization
from unstract_worker_core.backend import models, operations
from unstract_worker_core.backend.caller import Caller
from unstract_worker_core.backend.ids import content_hash, uuids


@frozen
class History:
    """Calls about file history."""

    _call: Caller

    def by_hash(
        self, organization_id: str, workflow_id: str, file_hash: str, *, file_path: str | None = None
    ) -> models.FileHistory | None:
        """The history of a content; without a path only rows that have none (API files) are found."""
        query = uuids(workflow_id=workflow_id) | ({} if file_path is None else {"file_path": file_path})
        ids = {"file_hash": content_hash(file_hash)}
        answer = self._call(operations.HISTORY_BY_HASH, organization_id, ids=ids, query=query)
        found = answer.member("found")
        if not isinstance(found, bool):
            raise answer.unexpected("found: not a boolean")
        return answer.one(models.FileHistory, answer.object("file_history")) if found else None

    def check_batch(self, organization_id: str, workflow_id: str, file_hashes: Iterable[str]) -> frozenset[str]:
        """Those of the hashes that the workflow has COMPLETED before."""
        wanted = sorted({content_hash(each) for each in file_hashes})
        if not wanted:
            return frozenset()
        organization = identifiers.organization_id(organization_id)
        body = {**uuids(workflow_id=workflow_id), "file_hashes": wanted, "organization_id": organization}
        answer = self._call(operations.CHECK_HISTORY, organization, body=body)
        done = answer.items("processed_file_hashes")
        return frozenset(each for each in wanted if each in done)

    def find_many(
        self, organization_id: str, workflow_id: str, files: Iterable[models.HistoryQuery]
    ) -> dict[str, models.FileHistory]:
        """The histories of files, in one call for at most 500.

        Returns:
            What was found, by the `identifier` of the query; a file without a history is not in it. Rows without a
            path match any path: compare.
        """
        wanted = {each.identifier: each for each in files}
        if not wanted:
            return {}
        organization = identifiers.organization_id(organization_id)
        asked = [serialization.unstructure(each) for each in wanted.values()]
        body = {**uuids(workflow_id=workflow_id), "files": asked, "organization_id": organization}
        answer = self._call(operations.FIND_HISTORIES, organization, body=body)
        found = {name: answer.object("file_histories", name) for name in wanted}
        return {
            name: answer.one(models.FileHistory, answer.object("file_histories", name, "file_history"))
            for name, entry in found.items()
            if entry.get("found") is not False
        }

    def create(self, organization_id: str, history: models.NewHistory, *, key: str | None = None) -> str:
        """Write a history row; its id. On OutcomeUnknown look it up before writing again: each write counts."""
        content_hash(history.file_hash)
        body = serialization.unstructure(history) | uuids(workflow_id=history.workflow_id)
        answer = self._call(operations.CREATE_HISTORY, organization_id, body=body, key=key)
        return answer.one(models.FileHistory, answer.object("file_history")).id
