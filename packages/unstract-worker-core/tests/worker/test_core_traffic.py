"""Whose a message is: read from the contract's messages, and the same for everything of one execution."""

from itertools import pairwise
from uuid import UUID, uuid5

import pytest

from unstract_worker_core.config.sections import TrafficSettings
from unstract_worker_core.migration.traffic import Subject, subject_of

ORG, EXECUTION = "org_8QpLr2", "7d3f5a0c-2f0b-4a6f-b1b7-c8b9a0e1d2c3"
FILE_DATA = {"execution_id": EXECUTION, "organization_id": ORG}
CALLBACK = {"execution_id": EXECUTION, "organization_id": ORG, "pipeline_id": None}
ALIAS = "workflow_manager.workflow_v2.file_execution_tasks."
MESSAGES = [
    ("async_execute_bin", [ORG, UUID(int=1), UUID(EXECUTION), {}], {"scheduled": False}),
    ("async_execute_bin", [ORG, str(UUID(int=1)), EXECUTION.replace("-", ""), {}, True], {}),
    ("async_execute_bin_api", [], {"schema_name": ORG, "execution_id": EXECUTION}),
    ("process_file_batch", [{"files": [], "file_data": FILE_DATA}], {}),
    (ALIAS + "process_file_batch", [], {"file_batch_data": {"files": [], "file_data": FILE_DATA}}),
    ("process_batch_callback", [[{}]], CALLBACK),
    ("process_batch_callback_api", [[{}]], CALLBACK),
    (ALIAS + "process_batch_callback", [[{}]], CALLBACK),
    ("celery.chord_unlock", ["group", {"task": "process_batch_callback_api", "kwargs": CALLBACK}], {"result": []}),
]


@pytest.mark.parametrize(("task", "args", "kwargs"), MESSAGES)
def test_every_message_of_an_execution_names_the_same_one(task, args, kwargs):
    subject = subject_of(task, "t1", args, kwargs)
    assert subject is not None
    assert (subject.organization_id, subject.execution_id) == (ORG, EXECUTION)


def test_a_schedule_is_decided_about_by_its_organization_alone():
    args = [str(UUID(int=1)), ORG, "", "", str(UUID(int=2)), False, "job"]
    assert subject_of("scheduler.tasks.execute_pipeline_task", "t1", args, {}) == Subject(ORG, None, "t1")
    assert subject_of("execute_pipeline_task_v2", "t1", [ORG, str(UUID(int=2)), "job"], {}) == Subject(ORG, None, "t1")
    half, named = TrafficSettings(percent=50), TrafficSettings(organizations=(ORG,))
    assert not half.takes(ORG, None)
    assert named.takes(ORG, None)
    assert TrafficSettings().takes(ORG, None)


@pytest.mark.parametrize(
    ("task", "args", "kwargs"),
    [
        ("async_execute_bin", [], {}),
        ("async_execute_bin", [ORG, 1, "no uuid", {}], {}),
        ("process_file_batch", ["text"], {}),
        ("process_file_batch", [{"file_data": 5}], {}),
        ("process_file_batch", [], {}),
        ("process_batch_callback", [[]], {"execution_id": None}),
        ("celery.chord_unlock", ["group"], {}),
        ("celery.chord_unlock", ["group", {"kwargs": None}], {}),
        ("send_webhook_notification", ["https://x", {}], {}),
        ("unstract_worker.process_batch", [], {"run_id": EXECUTION}),
        ("anything.else", [], {}),
    ],
)
def test_what_cannot_be_read_and_what_has_no_execution_is_not_shared(task, args, kwargs):
    assert subject_of(task, "t1", args, kwargs) is None


@pytest.mark.parametrize("percent", [0, 1, 50, 99, 100])
def test_a_percentage_holds_within_statistics(percent):
    traffic, number = TrafficSettings(percent=percent), 20_000
    taken = sum(traffic.takes(ORG, str(uuid5(UUID(int=7), str(each)))) for each in range(number))
    # Five standard deviations of a binomial; none at all at the ends.
    deviation = (number * percent / 100 * (1 - percent / 100)) ** 0.5
    assert abs(taken - number * percent / 100) <= 5 * deviation


def test_a_larger_share_only_adds_executions():
    ids = [str(uuid5(UUID(int=7), str(each))) for each in range(2_000)]
    taken = [{each for each in ids if TrafficSettings(percent=p).takes(ORG, each)} for p in range(0, 101, 10)]
    assert all(less <= more for less, more in pairwise(taken))
