"""What is set up in a stack that is kept up: an API deployment, an ETL pipeline, and webhooks to the sink."""

from attrs import frozen

from unstract_devstack.samples import INBOX, load_expectations
from unstract_devstack.stack import Stack

ORGANIZATION = "org_dev"
API_NAME = "documents"
TABLE = "inbox_results"


@frozen
class Example:
    """Names and ids of what was set up."""

    organization: str
    api_name: str
    api_url: str
    pipeline_id: str
    table: str


def set_up_example(stack: Stack) -> Example:
    """Sets everything up in the stack's backend."""
    fields = load_expectations().fields
    platform = stack.backend.platform(ORGANIZATION)
    platform.set_up_organization()
    documents = platform.create_workflow("documents", "api", fields)
    api_id = platform.create_api_deployment(documents, API_NAME)
    inbox = platform.create_workflow("inbox", "etl", fields, source_folder=str(INBOX), destination_table=TABLE)
    pipeline_id = platform.create_pipeline(inbox, "inbox")
    platform.notify(f"{stack.sink.url}/hooks/api", api_id=api_id)
    platform.notify(f"{stack.sink.url}/hooks/pipeline", pipeline_id=pipeline_id)
    return Example(ORGANIZATION, API_NAME, platform.api_url(API_NAME), pipeline_id, TABLE)
