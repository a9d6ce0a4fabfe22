"""Executions of API deployments: started with uploads, and read back once."""

import json
import uuid
from typing import Any

from attrs import frozen

from unstract_devstack.backend.database import Row
from unstract_devstack.backend.handlers.executions import TERMINAL, create_execution, mirror
from unstract_devstack.backend.public.staging import Upload, staged
from unstract_devstack.backend.services import Services
from unstract_devstack.backend.wire import refuse
from unstract_devstack.producer import API_QUEUE, SendFailed, StartOptions


@frozen
class Deployment:
    """A published API workflow."""

    api_id: str
    api_name: str
    organization_pk: int
    organization_id: str
    workflow_id: str


@frozen
class Wishes:
    """What a caller asks for besides the files. Timeout in seconds; negative: do not wait."""

    timeout: float = -1
    include_metadata: bool = False
    use_file_history: bool = False
    tags: tuple[str, ...] = ()


def deployment_of(services: Services, organization_id: str, api_name: str) -> Deployment:
    """The deployment at a public path. Raises Refused with 404."""
    organization = services.organizations.by_identifier(organization_id)
    row = None
    if organization is not None:
        row = services.database.one(
            "SELECT * FROM api_deployments WHERE organization_pk = ? AND api_name = ? AND is_active = 1",
            (organization.pk, api_name),
        )
    if organization is None or row is None:
        raise refuse(404, error=f"there is no API {api_name!r} in organization {organization_id!r}")
    return Deployment(row["id"], api_name, organization.pk, organization_id, row["workflow_id"])


def start(services: Services, deployment: Deployment, uploads: list[Upload], wishes: Wishes) -> str:
    """Stage the files, create the PENDING row and send its start message; returns the execution's id."""
    producer = services.producer
    execution_id = str(uuid.uuid4())
    directory = f"unstract/api/{deployment.organization_id}/{deployment.workflow_id}/{execution_id}"
    files = staged(services.root, directory, uploads, store=services.config.uploads_store)
    if wishes.use_file_history:
        _mark_known(services, deployment.workflow_id, files)
    tags = [{"id": str(uuid.uuid5(uuid.NAMESPACE_OID, tag)), "name": tag, "description": ""} for tag in wishes.tags]
    create_execution(
        services.database,
        execution_id,
        deployment.organization_pk,
        deployment.workflow_id,
        pipeline_id=deployment.api_id,
        total_files=len(files),
        tags=json.dumps(tags),
    )
    mirror(services, execution_id)
    options = StartOptions(deployment.api_id, wishes.use_file_history)
    try:
        task_id = producer.start_execution(
            deployment.organization_id, deployment.workflow_id, execution_id, files, options, API_QUEUE
        )
    except SendFailed as problem:
        with services.database.write() as connection:
            connection.execute(
                "UPDATE executions SET status = 'ERROR', error_message = ? WHERE id = ?",
                (str(problem)[:256], execution_id),
            )
        raise
    with services.database.write() as connection:
        connection.execute("UPDATE executions SET task_id = ? WHERE id = ?", (task_id, execution_id))
    return execution_id


def _mark_known(services: Services, workflow_id: str, files: dict[str, dict[str, Any]]) -> None:
    """Files whose content was completed before are marked as executed."""
    query = "SELECT 1 FROM file_histories WHERE workflow_id = ? AND cache_key = ? AND status = 'COMPLETED'"
    for file in files.values():
        if services.database.one(query, (workflow_id, file["file_hash"])):
            file["is_executed"] = True


def execution_of(services: Services, deployment: Deployment, execution_id: str) -> Row:
    """The execution's row. Raises Refused with 404."""
    row = services.database.one(
        "SELECT * FROM executions WHERE id = ? AND workflow_id = ? AND pipeline_id = ?",
        (execution_id, deployment.workflow_id, deployment.api_id),
    )
    if row is None:
        raise refuse(404, error=f"there is no execution {execution_id!r} of this API")
    return row


def collected(services: Services, workflow_id: str, execution_id: str, *, with_metadata: bool) -> list[Any]:
    """The results of a terminal execution. Reading deletes them and acknowledges the execution."""
    items = [json.loads(item) for item in services.cache.results(workflow_id, execution_id)]
    services.cache.forget(workflow_id, execution_id)
    with services.database.write() as connection:
        connection.execute("UPDATE executions SET result_acknowledged = 1 WHERE id = ?", (execution_id,))
    return [item if with_metadata else _without_metadata(item) for item in items]


def _without_metadata(item: dict[str, Any]) -> dict[str, Any]:
    result = item.get("result")
    if isinstance(result, dict):
        result = {name: value for name, value in result.items() if name not in {"metadata", "metrics"}}
    return {**item, "result": result, "metadata": {}}


def finished(status: str | None) -> bool:
    """Whether a status is the last one."""
    return status in TERMINAL
