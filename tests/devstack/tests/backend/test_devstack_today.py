"""Today's workers as the stand-in has them: which events a subscriber gets of a run."""

import pytest
from celery import Celery

from unstract_devstack.today.internal_api import InternalApi
from unstract_devstack.today.orchestrate import register_general

KEY = "test-internal-key"


@pytest.fixture
def general(broker, stack):
    """Today's general worker, its tasks called in this process."""
    app = Celery("today", broker=broker, set_as_current=False)
    register_general(app, lambda organization: InternalApi(f"{stack.url}/internal", KEY, organization))
    yield app
    app.close()


def test_empty_run_by_schedule_tells_its_start_and_not_its_end(stack, general, tmp_path):
    (tmp_path / "inbox").mkdir()
    workflow_id = stack.workflow("etl", source_folder=str(tmp_path / "inbox"), destination_table="out")
    pipeline_id = stack.pipeline(workflow_id)
    target = {"organization_id": "acme", "pipeline_id": pipeline_id, "url": "http://127.0.0.1:9/hook"}
    stack.post("/dev/notifications", target)
    general.tasks["scheduler.tasks.execute_pipeline_task"](workflow_id, "acme", "", "", pipeline_id, False, "job")
    [(headers, (args, kwargs, _))] = stack.sent("celery")
    assert headers["task"] == "async_execute_bin"
    general.tasks["async_execute_bin"](*args, **kwargs)
    [execution] = stack.get("/dev/executions", organization_id="acme")
    assert (execution["status"], execution["total_files"]) == ("COMPLETED", 0)
    events = [row["event"] for row in stack.get("/dev/notification-buffer")]
    assert [(event["status"], event["execution_id"]) for event in events] == [("INPROGRESS", None)]
