"""The two small tasks about one execution, and the names under which all tasks are registered."""

import pytest
from celery import Celery

from unstract_worker_api_deployment.status import cleaned_up, read_asked, status_of
from unstract_worker_api_deployment.tasks import register
from unstract_worker_core.errors import MessageError


def test_the_status_is_read_from_the_backend(rig):
    execution = rig.execution(rig.workflow())
    asked = read_asked([execution, rig.organization], {})
    report = status_of(rig.runtime.backend, asked)
    assert report["status"] == "PENDING"
    assert report["execution_id"] == execution
    assert report["is_api_deployment"] is True
    assert set(report) == {
        "execution_id", "status", "created_at", "modified_at", "total_files", "attempts", "execution_time",
        "error_message", "is_api_deployment",
    }  # fmt: skip


def test_cleanup_says_that_it_is_done():
    asked = read_asked([], {"execution_id": "7d3f5a0c2f0b4a6fb1b7c8b9a0e1d2c3", "organization_id": "org_1"})
    report = cleaned_up(asked, "task-1")
    assert report["execution_id"] == "7d3f5a0c-2f0b-4a6f-b1b7-c8b9a0e1d2c3"
    assert (report["cleanup_completed"], report["task_id"]) == (True, "task-1")


@pytest.mark.parametrize("args", [[], ["not-an-id", "org_1"], ["7d3f5a0c2f0b4a6fb1b7c8b9a0e1d2c3"], [1, 2, 3]])
def test_what_names_no_execution_is_refused(args):
    with pytest.raises(MessageError):
        read_asked(args, {})


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
    assert report["status"] == "PENDING"
    done = app.tasks["api_deployment_cleanup"].apply(args=[execution, rig.organization]).result
    assert done["cleanup_completed"] is True
    app.tasks["async_execute_bin"].apply(args=[rig.organization, rig.workflow(), execution, {}])
    assert [run for run, _, _ in rig.starts] == [execution]
    app.tasks["unstract_worker.orchestrate"].apply(kwargs={"run_id": execution})
    assert rig.callbacks == [execution]
