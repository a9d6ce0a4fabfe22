"""The two small tasks about one execution, and the names under which all tasks are registered."""

import pytest
from celery import Celery

from unstract_worker_api_deployment.tasks import read_ids, register
from unstract_worker_core.errors import MessageError


@pytest.mark.parametrize("args", [[], ["not-an-id", "org_1"], ["7d3f5a0c2f0b4a6fb1b7c8b9a0e1d2c3"], [1, 2, 3]])
def test_what_names_no_execution_is_refused(args):
    with pytest.raises(MessageError):
        read_ids(args, {})


def test_an_execution_can_be_named_by_keyword():
    ids = {"execution_id": "7d3f5a0c2f0b4a6fb1b7c8b9a0e1d2c3", "organization_id": "org_1"}
    assert read_ids([], ids) == ("7d3f5a0c-2f0b-4a6f-b1b7-c8b9a0e1d2c3", "org_1")


def test_all_names_of_the_contract_are_registered(rig):
    app = Celery("test", set_as_current=False)
    register(app, lambda: rig.runtime)
    names = {name for name in app.tasks if not name.startswith("celery.")}
    small = ("api_deployment_status_check", "api_deployment_cleanup")
    assert names == {"async_execute_bin", "async_execute_bin_api", "unstract_worker.orchestrate"} | {
        prefix + name for prefix in ("", "tasks.", "api-deployment.tasks.") for name in small
    }
    assert app.tasks["async_execute_bin"].acks_late
    assert not app.tasks["unstract_worker.orchestrate"].acks_late


def test_the_tasks_do_what_their_names_say(rig):
    app = Celery("test", set_as_current=False)
    register(app, lambda: rig.runtime)
    execution = rig.execution(rig.workflow())
    report = app.tasks["tasks.api_deployment_status_check"].apply(args=[execution, rig.organization]).result
    assert set(report) == {
        "execution_id", "status", "created_at", "modified_at", "total_files", "attempts", "execution_time",
        "error_message", "is_api_deployment",
    }  # fmt: skip
    assert (report["execution_id"], report["status"], report["is_api_deployment"]) == (execution, "PENDING", True)
    cleaned = app.tasks["api_deployment_cleanup"].apply(args=[execution, rig.organization], task_id="task-1").result
    assert (cleaned["execution_id"], cleaned["cleanup_completed"], cleaned["task_id"]) == (execution, True, "task-1")
    app.tasks["async_execute_bin"].apply(args=[rig.organization, rig.workflow(), execution, {}])
    assert [run for run, _, _ in rig.starts] == [execution]
    app.tasks["unstract_worker.orchestrate"].apply(kwargs={"run_id": execution})
    assert rig.callbacks == [execution]
