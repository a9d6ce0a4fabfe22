"""The operations of the internal API that the workers use, and of the dev API."""

from functools import partial

from attrs import frozen

from unstract_devstack.backend.dev import objects, observation, runs
from unstract_devstack.backend.handlers import (
    active_files,
    buffer,
    execution_status,
    executions,
    files,
    histories,
    notifications,
    pipelines,
    settings,
    workflows,
)  # fmt: skip
from unstract_devstack.backend.handlers.execute_file import execute_file
from unstract_devstack.backend.handlers.source_files import source_files
from unstract_devstack.backend.services import Handler
from unstract_devstack.backend.wire import (
    FailureShape,
    error_cause,
    error_detail,
    error_only,
    page,
    parse_refused,
    server_error,
    status_message,
    wrong,
)  # fmt: skip


@frozen
class Operation:
    """One operation.

    ``plain``: a view that is not part of the framework (405 and errors are pages; POST meets CSRF). ``slow``: runs in
    the pool for files. ``delayed``: takes the configured time of a file on top.
    """

    method: str
    path: str
    handler: Handler
    failure: FailureShape = server_error
    plain: bool = False
    slow: bool = False
    delayed: bool = False


get, post, put = (partial(Operation, method) for method in ("GET", "POST", "PUT"))
V1 = "/internal/v1"
EXECUTION, MANAGER, FILE = f"{V1}/workflow-execution", f"{V1}/workflow-manager", f"{V1}/file-execution"
HISTORY, WEBHOOK, BUFFER = f"{V1}/file-history", f"{V1}/webhook", f"{V1}/webhook/buffer"
PIPELINE, USAGE = f"{V1}/pipeline/{{id}}/", f"{V1}/usage"
BROKEN = error_only("Internal server error")
failed = error_detail

EXECUTIONS = (
    get(f"{V1}/health/", settings.health, page, plain=True),
    get(f"{EXECUTION}/", executions.listed),
    get(f"{EXECUTION}/{{id}}/", executions.retrieve, error_only("Failed to retrieve workflow execution")),
    post(f"{EXECUTION}/{{id}}/update_status/", execution_status.update_status,
         failed("Failed to update workflow execution status")),
    get(f"{MANAGER}/workflow/{{workflow_id}}/", workflows.workflow, failed("Failed to get workflow definition")),
    get(f"{MANAGER}/{{workflow_id}}/endpoint/", workflows.endpoint, failed("Failed to get workflow endpoints")),
    get(f"{MANAGER}/workflow/{{workflow_id}}/tool-instances/", workflows.tool_instances,
        failed("Database lookup error")),
    post(f"{MANAGER}/execution/create/", workflows.create, BROKEN),
    get(f"{MANAGER}/execution/{{execution_id}}/", workflows.execution, BROKEN),
    get(f"{MANAGER}/execution/cleanup/", workflows.shadowed, BROKEN),
    get(f"{MANAGER}/execution/metrics/", workflows.shadowed, BROKEN),
    post(f"{MANAGER}/source-files/{{workflow_id}}/", source_files, failed("Failed to get source files"), slow=True),
    post(f"{MANAGER}/execute-file/", execute_file, failed("Failed to execute file"), slow=True, delayed=True),
    post(f"{MANAGER}/increment-files/", execution_status.increment_files, failed("Failed to increment file count")),
    post(f"{MANAGER}/file-execution/check-active", active_files.check_active, failed("Failed to check active files")),
    post(f"{MANAGER}/file-history/check-batch/", histories.check_batch, failed("Failed to check history")),
)  # fmt: skip
FILES = (
    get(f"{FILE}/", files.listed),
    post(f"{FILE}/", files.create, failed("Failed to get/create file execution")),
    get(f"{FILE}/{{id}}/", files.get),
    post(
        f"{FILE}/{{id}}/status/", files.update_status, parse_refused(failed("Failed to update file execution status"))
    ),
    post(f"{FILE}/batch-create/", files.batch_create, failed("Failed to process batch file creation")),
    post(f"{FILE}/batch-status-update/", files.batch_update_status, failed("Failed to process batch status update")),
    get(f"{HISTORY}/cache-key/{{cache_key}}/", histories.by_cache_key, error_cause),
    post(f"{HISTORY}/lookup/", histories.lookup, error_cause),
    post(f"{HISTORY}/batch-lookup/", histories.batch_lookup, error_cause),
    post(f"{HISTORY}/create/", histories.create, error_cause),
    post(f"{HISTORY}/get/", histories.get, error_cause),
)
PIPELINES = (
    get(PIPELINE, pipelines.get, status_message),
    put(PIPELINE, pipelines.update, status_message),
    get(f"{V1}/api-deployments/{{api_id:uuid}}/", pipelines.api_deployment),
    get(f"{WEBHOOK}/pipeline/{{id}}/notifications/", notifications.of_pipeline, status_message, plain=True),
    get(f"{WEBHOOK}/api/{{id}}/notifications/", notifications.of_api, status_message, plain=True),
    get(f"{WEBHOOK}/pipeline/{{id}}/", notifications.pipeline, status_message, plain=True),
    get(f"{WEBHOOK}/api/{{id}}/", notifications.api, status_message, plain=True),
    post(f"{WEBHOOK}/send/", notifications.send, parse_refused(server_error)),
    post(f"{BUFFER}/enqueue/", buffer.enqueue, page, plain=True),
    post(f"{BUFFER}/process/", buffer.process, page, plain=True),
    post(f"{BUFFER}/mark/dispatched/", buffer.mark_dispatched, page, plain=True),
    post(f"{BUFFER}/mark/dead-letter/", buffer.mark_dead_letter, page, plain=True),
    post(f"{V1}/tool-execution/validate/", settings.validate_tools, parse_refused(server_error)),
    get(f"{V1}/tool-execution/tool/{{tool_id}}/", settings.tool),
    get(f"{V1}/configuration/{{config_key}}/", settings.configuration),
    get(f"{V1}/platform-settings/platform-key/", settings.platform_key, BROKEN),
    get(f"{USAGE}/aggregated-token-count/{{file_execution_id}}/", settings.tokens),
    post(f"{USAGE}/batch/", settings.count_usage),
    get(f"{USAGE}/aggregated-pages-processed/{{file_execution_id}}/", settings.pages),
)
DEV = tuple(
    Operation(method, f"/dev/{path}", handler, wrong)
    for method, path, handler in (
        ("POST", "organizations", objects.organization),
        ("POST", "workflows", objects.workflow),
        ("POST", "tool-instances", objects.tool_instance),
        ("POST", "api-deployments", objects.api_deployment),
        ("POST", "pipelines", objects.pipeline),
        ("POST", "notifications", objects.notification),
        ("POST", "configuration", objects.configuration),
        ("POST", "pipelines/{id}/trigger", runs.trigger),
        ("POST", "beat/backend-cleanup", runs.backend_cleanup),
        ("POST", "executions/{id}/stop", runs.stop),
        ("GET", "executions", observation.executions),
        ("GET", "history", observation.history),
        ("GET", "requests", observation.requests),
        ("GET", "logs", observation.logs),
        ("GET", "notification-buffer", observation.buffer),
        ("GET", "destinations/{table}", observation.destination),
        ("POST", "faults", observation.add_fault),
        ("GET", "faults", observation.faults),
        ("DELETE", "faults", observation.clear_faults),
    )
)
OPERATIONS = EXECUTIONS + FILES + PIPELINES + DEV
