"""The operations of the internal API that the workers use: one table, with what may be repeated and what is permanent.

The backend answers 500 to many requests where 404 or 400 is usual (contract: behaviours). Repeating those wastes the
whole back-off, and some write lines into the user's log each time. So a 500 is permanent if its reason holds one of the
texts below, or one of the operation's own `permanent`; any other is tried again. All of them were observed.
"""

from enum import Enum

from attrs import frozen

# In a 500 of any view: the request is wrong, and will be the next time.
_PERMANENT = (
    "is not a valid uuid",
    "json parse error",
    "value too long",
    "unique constraint",
    "returned more than one",
    "query does not exist",
    "object has no attribute",
    "cannot resolve keyword",
)
# In a 500 where another API answers 404.
_GONE = "matches the given query"


class Repeat(Enum):
    """When the client itself may make a call again.

    READ: nothing is changed. SAFE: an effect that the contract says may be repeated. LOOK_FIRST: an effect that counts
    twice; repeated only when it certainly was not applied, else the caller looks first. ONCE: only when nothing of it
    was sent.
    """

    READ = "read"
    SAFE = "safe"
    LOOK_FIRST = "look first"
    ONCE = "once"


# A second request may do harm.
UNSAFE = (Repeat.LOOK_FIRST, Repeat.ONCE)


@frozen
class Operation:
    """One operation.

    Attributes:
        name: for logs and metrics.
        path: a template of prefixes (settings) and ids.
        permanent: texts, in lower case, of this operation's own 500s that are permanent.
        answers: statuses beyond 2xx whose body is an answer.
        organization: False for the few calls that the contract makes with the bearer key alone.
        slow: it may take long before its first byte; any other is given up after some seconds of silence.
        lenient: it lists entries that are read one by one: an invalid value such as NaN makes only its own entry
            unreadable.
    """

    name: str
    method: str
    path: str
    repeat: Repeat = Repeat.READ
    permanent: tuple[str, ...] = ()
    answers: frozenset[int] = frozenset()
    organization: bool = True
    slow: bool = False
    lenient: bool = False

    def refuses(self, reason: str) -> bool:
        """Whether a 500 with this reason will be a 500 the next time too."""
        return any(word in reason.lower() for word in (*_PERMANENT, _GONE, *self.permanent))

    def misses(self, reason: str) -> bool:
        """Whether a 500 with this reason says that the object does not exist."""
        return _GONE in reason.lower()


_WM = "{workflow_manager_prefix}"

HEALTH = Operation("health", "GET", "{health_prefix}", organization=False)

# An execution of another organization is this 500 by design.
GET_EXECUTION = Operation(
    "workflow-execution.get",
    "GET",
    "{workflow_prefix}{execution_id}/",
    permanent=("failed to retrieve workflow execution",),
)
LIST_EXECUTIONS = Operation("workflow-execution.list", "GET", "{workflow_prefix}", lenient=True)
# An unknown id is a 500 that "matches the given query" here. The backend takes a repeat, but also over a stop or an
# end that came in between, and counts the duration from its start again.
UPDATE_EXECUTION = Operation(
    "workflow-execution.update_status", "POST", "{workflow_prefix}{execution_id}/update_status/", Repeat.LOOK_FIRST
)
CREATE_EXECUTION = Operation("execution.create", "POST", _WM + "execution/create/", Repeat.LOOK_FIRST)
CLEAN_UP = Operation("execution.cleanup", "POST", _WM + "execution/cleanup/", Repeat.SAFE, slow=True)

TOOL_INSTANCES = Operation("workflow.tool_instances", "GET", _WM + "workflow/{workflow_id}/tool-instances/")
# Credentials in plain text: for an executor that reads sources and writes destinations itself.
WORKFLOW = Operation("workflow.get", "GET", _WM + "workflow/{workflow_id}/")
# Always 200: for an unknown tool the backend invents an image.
TOOL = Operation("tool-execution.tool", "GET", "{tool_execution_prefix}tool/{tool_id}/")
# Changes nothing. A workflow without ends is a 500 ("query does not exist"); a source that is away is one too, and may
# come back.
SOURCE_FILES = Operation(
    "workflow.source_files",
    "POST",
    _WM + "source-files/{workflow_id}/",
    permanent=("is not a valid directory",),
    slow=True,
    lenient=True,
)
VALIDATE_TOOLS = Operation(
    "tool-execution.validate", "POST", "{tool_execution_prefix}validate/", answers=frozenset({422}), slow=True
)

LIST_FILES = Operation("file-execution.list", "GET", "{file_execution_prefix}", lenient=True)
GET_FILE = Operation("file-execution.get", "GET", "{file_execution_prefix}{file_execution_id}/")
# Parallel creates double API files, and a create repeated after a 500 can "succeed" with a half-made row.
CREATE_FILE = Operation("file-execution.create", "POST", "{file_execution_prefix}", Repeat.LOOK_FIRST, lenient=True)
CREATE_FILES = Operation(
    "file-execution.batch_create", "POST", "{file_execution_prefix}batch-create/", Repeat.LOOK_FIRST, lenient=True
)
UPDATE_FILE = Operation(
    "file-execution.status", "POST", "{file_execution_prefix}{file_execution_id}/status/", Repeat.SAFE
)
UPDATE_FILES = Operation(
    "file-execution.batch_status", "POST", "{file_execution_prefix}batch-status-update/", Repeat.SAFE, slow=True
)
# The only path without a trailing slash. Changes nothing.
CHECK_ACTIVE = Operation("file-execution.check_active", "POST", _WM + "file-execution/check-active", lenient=True)
# A refusal comes as 200 with status "error"; a 500 in the API's own words is a refusal too, any other is not.
EXECUTE_FILE = Operation("execute-file", "POST", _WM + "execute-file/", Repeat.ONCE, slow=True)

HISTORY_BY_HASH = Operation("file-history.by_hash", "GET", "{file_history_prefix}cache-key/{file_hash}/")
CHECK_HISTORY = Operation("file-history.check_batch", "POST", _WM + "file-history/check-batch/", lenient=True)
FIND_HISTORIES = Operation("file-history.batch_lookup", "POST", "{file_history_prefix}batch-lookup/", lenient=True)
# Every create adds one to the file's count, which has a limit.
CREATE_HISTORY = Operation("file-history.create", "POST", "{file_history_prefix}create/", Repeat.LOOK_FIRST)

GET_PIPELINE = Operation("pipeline.get", "GET", "v1/pipeline/{pipeline_id}/")
# A paused pipeline refuses with a 500.
UPDATE_PIPELINE = Operation(
    "pipeline.update", "PUT", "v1/pipeline/{pipeline_id}/", Repeat.SAFE, permanent=("is inactive",)
)

PIPELINE_TARGETS = Operation(
    "webhook.pipeline_notifications", "GET", "{webhook_prefix}pipeline/{target_id}/notifications/", lenient=True
)
# A deployment that is gone is this 500, not a 404.
API_TARGETS = Operation(
    "webhook.api_notifications",
    "GET",
    "{webhook_prefix}api/{target_id}/notifications/",
    permanent=("internal server error",),
    lenient=True,
)
# Each call adds a row, and there is nothing to look a row up by: at least once.
ENQUEUE = Operation("webhook.enqueue", "POST", "{webhook_prefix}buffer/enqueue/", Repeat.SAFE)
MARK_DISPATCHED = Operation(
    "webhook.mark_dispatched",
    "POST",
    "{webhook_prefix}buffer/mark/dispatched/",
    Repeat.SAFE,
    organization=False,
)
MARK_DEAD_LETTER = Operation(
    "webhook.mark_dead_letter",
    "POST",
    "{webhook_prefix}buffer/mark/dead-letter/",
    Repeat.SAFE,
    organization=False,
)

TOKENS = Operation("usage.tokens", "GET", "v1/usage/aggregated-token-count/{file_execution_id}/")
PAGES = Operation("usage.pages", "GET", "v1/usage/aggregated-pages-processed/{file_execution_id}/")
# An organization without a key is this 500.
PLATFORM_KEY = Operation(
    "platform-settings.platform_key",
    "GET",
    "{platform_settings_prefix}platform-key/",
    permanent=("internal server error",),
)
# The organization counts as a query parameter only; the header alone is a 400.
CONFIGURATION = Operation("configuration.get", "GET", "v1/configuration/{name}/")


def effects() -> tuple[Operation, ...]:
    """The operations that change something."""
    return tuple(each for each in globals().values() if isinstance(each, Operation) and each.repeat is not Repeat.READ)
