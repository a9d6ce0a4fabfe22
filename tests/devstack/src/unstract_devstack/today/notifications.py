"""Events for an API deployment's or a pipeline's subscribers, as today's workers buffer them (contract: flows b, d)."""

from unstract_devstack.today.internal_api import InternalApi


def enqueue_event(api: InternalApi, pipeline_id: str, status: str, execution_id: str | None = None) -> None:
    """Buffer one event for each subscriber.

    Args:
        api: the organization's internal API.
        pipeline_id: id of a pipeline or an API deployment.
        status: INPROGRESS, SUCCESS, COMPLETED, ERROR or STOPPED.
        execution_id: the execution that ended; None at a start.

    Raises:
        CallFailed: a call was refused.
    """
    query = f"?execution_id={execution_id}" if execution_id else ""
    answer = api.get(f"webhook/pipeline/{pipeline_id}/notifications/{query}")
    for target in answer["notifications"]:
        api.post(
            "webhook/buffer/enqueue/", notification_id=target["id"], platform=target["platform"], status=status,
            pipeline_id=pipeline_id, pipeline_name=answer["pipeline_name"], type=answer["pipeline_type"],
            execution_id=execution_id, additional_data=answer["execution_counts"],
        )  # fmt: skip
