"""The operations of the internal API that the workers use, and of the dev API."""

from unstract_devstack.backend.dev import objects, observation, runs
from unstract_devstack.backend.failures import (
    error_cause,
    error_detail,
    error_only,
    page,
    parse_refused,
    server_error,
    status_message,
)
from unstract_devstack.backend.handlers import (
    active_files,
    buffer,
    configuration,
    execution_status,
    executions,
    files,
    health,
    histories,
    notifications,
    pipelines,
    sending,
    tools,
    usage,
    workflows,
)
from unstract_devstack.backend.handlers.execute_file import execute_file
from unstract_devstack.backend.handlers.source_files import source_files
from unstract_devstack.backend.routing import Route, Router

INTERNAL = "/internal/v1"
EXECUTION, MANAGER = f"{INTERNAL}/workflow-execution", f"{INTERNAL}/workflow-manager"
FILE, HISTORY, WEBHOOK = f"{INTERNAL}/file-execution", f"{INTERNAL}/file-history", f"{INTERNAL}/webhook"

FILE_FAILED = error_detail("Failed to get/create file execution")
BROKEN = error_only("Internal server error")

EXECUTION_ROUTES = (
    Route("GET", f"{INTERNAL}/health/", health.health, page, plain=True),
    Route("GET", f"{EXECUTION}/", executions.listed),
    Route("GET", f"{EXECUTION}/{{id}}/", executions.retrieve, error_only("Failed to retrieve workflow execution")),
    Route(
        "POST",
        f"{EXECUTION}/{{id}}/update_status/",
        execution_status.update_status,
        error_detail("Failed to update workflow execution status"),
    ),
    Route(
        "GET",
        f"{MANAGER}/workflow/{{workflow_id}}/",
        workflows.workflow,
        error_detail("Failed to get workflow definition"),
    ),
    Route(
        "GET",
        f"{MANAGER}/{{workflow_id}}/endpoint/",
        workflows.endpoint,
        error_detail("Failed to get workflow endpoints"),
    ),
    Route(
        "GET",
        f"{MANAGER}/workflow/{{workflow_id}}/tool-instances/",
        workflows.tool_instances,
        error_detail("Database lookup error"),
    ),
    Route("POST", f"{MANAGER}/execution/create/", workflows.create, BROKEN),
    Route("GET", f"{MANAGER}/execution/{{execution_id}}/", workflows.execution, BROKEN),
    Route("GET", f"{MANAGER}/execution/cleanup/", workflows.shadowed, BROKEN),
    Route("GET", f"{MANAGER}/execution/metrics/", workflows.shadowed, BROKEN),
    Route(
        "POST",
        f"{MANAGER}/source-files/{{workflow_id}}/",
        source_files,
        error_detail("Failed to get source files"),
        slow=True,
    ),
    Route(
        "POST",
        f"{MANAGER}/execute-file/",
        execute_file,
        error_detail("Failed to execute file"),
        slow=True,
        delayed=True,
    ),
    Route(
        "POST",
        f"{MANAGER}/increment-files/",
        execution_status.increment_files,
        error_detail("Failed to increment file count"),
    ),
    Route(
        "POST",
        f"{MANAGER}/file-execution/check-active",
        active_files.check_active,
        error_detail("Failed to check active files"),
    ),
    Route(
        "POST", f"{MANAGER}/file-history/check-batch/", histories.check_batch, error_detail("Failed to check history")
    ),
)

FILE_ROUTES = (
    Route("GET", f"{FILE}/", files.listed),
    Route("POST", f"{FILE}/", files.create, FILE_FAILED),
    Route("GET", f"{FILE}/{{id}}/", files.get),
    Route(
        "POST",
        f"{FILE}/{{id}}/status/",
        files.update_status,
        parse_refused(error_detail("Failed to update file execution status")),
    ),
    Route("POST", f"{FILE}/batch-create/", files.batch_create, error_detail("Failed to process batch file creation")),
    Route(
        "POST",
        f"{FILE}/batch-status-update/",
        files.batch_update_status,
        error_detail("Failed to process batch status update"),
    ),
    Route("GET", f"{HISTORY}/cache-key/{{cache_key}}/", histories.by_cache_key, error_cause),
    Route("POST", f"{HISTORY}/lookup/", histories.lookup, error_cause),
    Route("POST", f"{HISTORY}/batch-lookup/", histories.batch_lookup, error_cause),
    Route("POST", f"{HISTORY}/create/", histories.create, error_cause),
    Route("POST", f"{HISTORY}/get/", histories.get, error_cause),
)

PIPELINE_ROUTES = (
    Route("GET", f"{INTERNAL}/pipeline/{{id}}/", pipelines.get, status_message),
    Route("PUT", f"{INTERNAL}/pipeline/{{id}}/", pipelines.update, status_message),
    Route("GET", f"{INTERNAL}/api-deployments/{{api_id}}/", pipelines.api_deployment, strict=True),
    Route(
        "GET",
        f"{WEBHOOK}/pipeline/{{pipeline_id}}/notifications/",
        notifications.pipeline_notifications,
        status_message,
        plain=True,
    ),
    Route(
        "GET", f"{WEBHOOK}/api/{{api_id}}/notifications/", notifications.api_notifications, status_message, plain=True
    ),
    Route("GET", f"{WEBHOOK}/pipeline/{{pipeline_id}}/", notifications.pipeline, status_message, plain=True),
    Route("GET", f"{WEBHOOK}/api/{{api_id}}/", notifications.api, status_message, plain=True),
    Route("POST", f"{WEBHOOK}/send/", sending.send, parse_refused(server_error)),
    Route("POST", f"{WEBHOOK}/buffer/enqueue/", buffer.enqueue, page, plain=True),
    Route("POST", f"{WEBHOOK}/buffer/process/", buffer.process, page, plain=True),
    Route("POST", f"{WEBHOOK}/buffer/mark/dispatched/", buffer.mark_dispatched, page, plain=True),
    Route("POST", f"{WEBHOOK}/buffer/mark/dead-letter/", buffer.mark_dead_letter, page, plain=True),
    Route("POST", f"{INTERNAL}/tool-execution/validate/", tools.validate, parse_refused(server_error)),
    Route("GET", f"{INTERNAL}/configuration/{{config_key}}/", configuration.configuration),
    Route("GET", f"{INTERNAL}/platform-settings/platform-key/", configuration.platform_key, BROKEN),
    Route("GET", f"{INTERNAL}/usage/aggregated-token-count/{{file_execution_id}}/", usage.tokens),
    Route("GET", f"{INTERNAL}/usage/aggregated-pages-processed/{{file_execution_id}}/", usage.pages),
)

DEV_ROUTES = (
    Route("POST", "/dev/organizations", objects.organization, objects.wrong),
    Route("POST", "/dev/workflows", objects.workflow, objects.wrong),
    Route("POST", "/dev/tool-instances", objects.tool_instance, objects.wrong),
    Route("POST", "/dev/api-deployments", objects.api_deployment, objects.wrong),
    Route("POST", "/dev/pipelines", objects.pipeline, objects.wrong),
    Route("POST", "/dev/notifications", objects.notification, objects.wrong),
    Route("POST", "/dev/configuration", objects.configuration, objects.wrong),
    Route("POST", "/dev/pipelines/{id}/trigger", runs.trigger, objects.wrong),
    Route("POST", "/dev/beat/backend-cleanup", runs.backend_cleanup, objects.wrong),
    Route("POST", "/dev/executions/{id}/stop", runs.stop, objects.wrong),
    Route("GET", "/dev/executions", observation.executions, objects.wrong),
    Route("GET", "/dev/history", observation.history, objects.wrong),
    Route("GET", "/dev/requests", observation.requests, objects.wrong),
    Route("GET", "/dev/logs", observation.logs, objects.wrong),
    Route("GET", "/dev/notification-buffer", observation.buffer, objects.wrong),
    Route("GET", "/dev/destinations/{table}", observation.destination, objects.wrong),
    Route("POST", "/dev/faults", observation.add_fault, objects.wrong),
    Route("GET", "/dev/faults", observation.faults, objects.wrong),
    Route("DELETE", "/dev/faults", observation.clear_faults, objects.wrong),
)


def internal_router() -> Router:
    """Every operation that wants the bearer key."""
    return Router(EXECUTION_ROUTES + FILE_ROUTES + PIPELINE_ROUTES + DEV_ROUTES)
