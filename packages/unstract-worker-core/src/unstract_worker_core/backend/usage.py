"""Small reads: token usage, pages, configuration."""

from attrs import frozen

from unstract_worker_core import identifiers
from unstract_worker_core.backend import operations
from unstract_worker_core.backend.call import Caller
from unstract_worker_core.errors import BackendRefused, NotFound
from unstract_worker_core.identifiers import uuids

_BAD_REQUEST, _INTERNAL_ERROR = 400, 500


@frozen
class TokenUsage:
    """Tokens and cost of one file execution; None where nothing was counted."""

    embedding_tokens: int | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    cost_in_dollars: float | None = None


@frozen
class Usage:
    """Calls about what file executions used."""

    _call: Caller

    def tokens(self, organization_id: str, file_execution_id: str) -> TokenUsage:
        """Tokens and cost of a file execution; all None where nothing was counted."""
        ids = uuids(file_execution_id=file_execution_id)
        response = self._call(operations.TOKENS, organization_id, ids=ids)
        return response.one(TokenUsage, response.object("data", "usage"))

    def pages(self, organization_id: str, file_execution_id: str) -> int | None:
        """Pages processed for a file execution; None where none were counted."""
        ids = uuids(file_execution_id=file_execution_id)
        response = self._call(operations.PAGES, organization_id, ids=ids)
        where = ("data", "total_pages_processed")
        return None if response.member(*where) is None else response.number(*where)


@frozen
class Configuration:
    """Calls about an organization's configuration."""

    _call: Caller

    def max_parallel_file_batches(self, organization_id: str) -> int | None:
        """The organization's number of batches, at least 1; None where the backend does not know (400, 404)."""
        organization = identifiers.organization_id(organization_id)
        ids, query = {"name": "MAX_PARALLEL_FILE_BATCHES"}, {"organization_id": organization}
        try:
            response = self._call(operations.CONFIGURATION, organization, ids=ids, query=query)
        except BackendRefused as error:
            if isinstance(error, NotFound) or error.status == _BAD_REQUEST:
                return None
            raise
        return max(1, response.number("data", "value"))

    def has_platform_key(self, organization_id: str) -> bool:
        """Whether the organization has an active platform key, without which no file is executed."""
        try:
            response = self._call(operations.PLATFORM_KEY, organization_id)
        except BackendRefused as error:
            if error.status == _INTERNAL_ERROR:
                return False
            raise
        return bool(response.member("platform_key"))
