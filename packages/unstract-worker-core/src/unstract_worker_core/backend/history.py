"""File history: look-ups by content, and the rows that are kept for them."""

from collections.abc import Iterable, Sequence

from attrs import field, frozen

from unstract_worker_core import identifiers, serialization
from unstract_worker_core.backend import operations
from unstract_worker_core.backend.call import Resource
from unstract_worker_core.backend.parts import Part, in_parts
from unstract_worker_core.backend.responses import ApiResponse
from unstract_worker_core.errors import UnexpectedAnswer
from unstract_worker_core.identifiers import content_hash, uuids
from unstract_worker_core.statuses import ExecutionStatus


@frozen
class FileHistory:
    """A history row. `result` and `metadata` are text: JSON, or Python's repr in rows of today's workers.

    A row in ERROR is found too: look at `status`.
    """

    id: str
    status: ExecutionStatus
    result: str | None = field(default=None, repr=False)
    metadata: str | None = field(default=None, repr=False)
    error: str | None = None
    file_path: str | None = None
    provider_file_uuid: str | None = None
    execution_count: int = 0
    max_execution_count: int | None = None
    has_exceeded_limit: bool = False


@frozen
class UnreadableHistory:
    """The answer about one file's history that is not what the contract says."""

    reason: str


@frozen(kw_only=True)
class HistoryQuery:
    """A file whose history is looked up, by the storage's id of it or by its hash. `identifier`: key of the answer."""

    identifier: str
    file_path: str
    provider_file_uuid: str | None = None
    cache_key: str | None = None


@frozen(kw_only=True)
class NewHistory:
    """A history row to write; each write counts. Leave `file_path` out for API files.

    `result` and `metadata` are text: the backend would store the repr of anything else.
    """

    workflow_id: str
    file_hash: str
    file_name: str
    status: ExecutionStatus
    is_api: bool = False
    file_path: str | None = None
    provider_file_uuid: str | None = None
    file_size: int | None = None
    mime_type: str | None = None
    source_connection_type: str | None = None
    result: str | None = field(default=None, repr=False)
    metadata: str | None = field(default=None, repr=False)
    error: str | None = None


class History(Resource):
    """Calls about file history."""

    def by_hash(
        self, organization_id: str, workflow_id: str, file_hash: str, *, file_path: str | None = None
    ) -> FileHistory | None:
        """The history of a content; without a path only rows that have none (API files) are found."""
        query = uuids(workflow_id=workflow_id) | ({} if file_path is None else {"file_path": file_path})
        ids = {"file_hash": content_hash(file_hash)}
        response = self._call(operations.HISTORY_BY_HASH, organization_id, ids=ids, query=query)
        found = response.member("found")
        if not isinstance(found, bool):
            raise response.unexpected("found: not a boolean")
        return response.one(FileHistory, response.object("file_history")) if found else None

    def check_batch(self, organization_id: str, workflow_id: str, file_hashes: Iterable[str]) -> frozenset[str]:
        """Those of the hashes that the workflow has COMPLETED before."""
        wanted = sorted({content_hash(each) for each in file_hashes})
        if not wanted:
            return frozenset()
        organization = identifiers.organization_id(organization_id)
        ids = {**uuids(workflow_id=workflow_id), "organization_id": organization}

        def check(some: Sequence[str], _: Part) -> list[str]:
            response = self._call(operations.CHECK_HISTORY, organization, body={**ids, "file_hashes": some})
            done = response.items("processed_file_hashes")
            return [each for each in some if each in done]

        return frozenset(each for done in in_parts(check, wanted) for each in done)

    def find_many(
        self, organization_id: str, workflow_id: str, files: Iterable[HistoryQuery]
    ) -> dict[str, FileHistory | UnreadableHistory]:
        """The histories of files, in one call for at most 500.

        Returns:
            What was found, by the `identifier` of the query; a file without a history is not in it. Rows without a
            path match any path: compare.
        """
        wanted = {each.identifier: each for each in files}
        if not wanted:
            return {}
        organization = identifiers.organization_id(organization_id)
        ids = {**uuids(workflow_id=workflow_id), "organization_id": organization}

        def find(some: Sequence[HistoryQuery], _: Part) -> dict[str, FileHistory | UnreadableHistory]:
            body = {**ids, "files": [serialization.unstructure(each) for each in some]}
            response = self._call(operations.FIND_HISTORIES, organization, body=body)
            response.object("file_histories")
            found = {each.identifier: _found(response, each.identifier) for each in some}
            return {name: history for name, history in found.items() if history is not None}

        return {name: one for found in in_parts(find, tuple(wanted.values())) for name, one in found.items()}

    def create(self, organization_id: str, history: NewHistory, *, key: str | None = None) -> str:
        """Write a history row; its id. On OutcomeUnknown look it up before writing again: each write counts."""
        content_hash(history.file_hash)
        body = serialization.unstructure(history) | uuids(workflow_id=history.workflow_id)
        response = self._call(operations.CREATE_HISTORY, organization_id, body=body, key=key)
        return response.one(FileHistory, response.object("file_history")).id


def _found(response: ApiResponse, name: str) -> FileHistory | UnreadableHistory | None:
    where = ("file_histories", name)
    try:
        if response.object(*where).get("found") is False:
            return None
        return response.one(FileHistory, response.object(*where, "file_history"))
    except UnexpectedAnswer as error:
        return UnreadableHistory(error.message)
