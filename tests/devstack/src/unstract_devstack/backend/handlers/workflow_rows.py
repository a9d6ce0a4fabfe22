"""Workflow rows and their endpoints, as several views show them."""

import json
from typing import Any

from unstract_devstack.backend.database import Database, Row
from unstract_devstack.backend.services import Call


def endpoints(database: Database, workflow_id: str) -> dict[str, Row]:
    """The endpoints of a workflow by type: SOURCE, DESTINATION."""
    rows = database.all("SELECT * FROM endpoints WHERE workflow_id = ?", (workflow_id,))
    return {row["type"]: row for row in rows}


def connector_settings(endpoint: Row | None) -> dict[str, Any]:
    """The connector of an endpoint as an execution's context shows it: credentials and all."""
    if endpoint is None or not endpoint["connector_id"]:
        return {}
    return {
        "connector_id": endpoint["connector_id"],
        "connector_settings": json.loads(endpoint["connector_metadata"]),
        "connector_name": endpoint["connector_name"],
    }


def serialized_endpoint(endpoint: Row, *, merged: bool) -> dict[str, Any]:
    """An endpoint; merged: its configuration holds the connector's credentials too."""
    configuration = json.loads(endpoint["configuration"])
    content: dict[str, Any] = {
        "endpoint_id": endpoint["id"],
        "endpoint_type": endpoint["type"],
        "connection_type": endpoint["connection_type"],
        "configuration": configuration,
    }
    if endpoint["connector_id"]:
        metadata = json.loads(endpoint["connector_metadata"])
        if merged:
            content["configuration"] = {**metadata, **configuration}
        content["connector_instance"] = {
            "connector_id": endpoint["connector_id"],
            "connector_name": endpoint["connector_name"],
            "connector_metadata": metadata,
        }
    return content


def managed_workflow(call: Call, workflow_id: str) -> Row | None:
    """A workflow of the request's organization; without one there is none."""
    return call.database.one(
        "SELECT * FROM workflows WHERE id = ? AND organization_pk = ?", (workflow_id, call.scope.managed())
    )
