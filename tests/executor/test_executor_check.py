"""`check` and `conformance` of a file worker with the executor `platform`, and the queues on RabbitMQ."""

import pytest
from kombu import Connection

from unstract_worker_core.config import BrokerSettings, Secret
from unstract_worker_core.operator.check.brokers import broker_lines, foreign_queue_line
from unstract_worker_core.statuses import WorkerType
from unstract_worker_core.testing import settings_for

# The first test of a broker starts a whole fleet, and a machine may be busy.
pytestmark = pytest.mark.timeout(400)

ANSWERS = "queue uw_executor_answers"


def test_check_says_that_all_that_the_executor_needs_is_there(tenant):
    tenant.whole(tenant.send("first.txt"), 1)  # makes the folder of uploads

    code, found = tenant.command("file_processing", "check", "--organization", tenant.platform.organization)

    lines = {line["subject"]: line for line in found["lines"]}
    key = f"platform key of {tenant.platform.organization}"
    assert code == 0, [line for line in found["lines"] if line["status"] != "ok"]
    subjects = ["store of executions", "store of uploads", "platform-service", key, "queue celery_executor_legacy"]
    assert {subject: lines[subject]["status"] for subject in (*subjects, ANSWERS)} == dict.fromkeys(
        (*subjects, ANSWERS), "ok"
    )
    if tenant.fleet.rabbit:
        assert lines["queue celery_executor_legacy"]["detail"] == "0 waiting, 1 consumers"


def test_conformance_tries_what_the_executor_calls_and_not_execute_file(tenant):
    code, found = tenant.command("file_processing", "conformance", "--organization", tenant.platform.organization)

    verdicts = {each["operation"]: each["verdict"] for each in found["operations"]}
    needed = ("workflow.tool_instances", "tool-execution.tool", "platform-settings.platform_key", "workflow.get")
    assert code == 0, found
    assert {name: verdicts[name] for name in needed} == dict.fromkeys(needed, "ok")
    assert "execute-file" not in verdicts


def test_an_executor_that_is_not_there_is_seen_on_rabbitmq(broker):
    def line():
        settings = BrokerSettings(Secret(broker))
        return foreign_queue_line(settings, "celery_executor_legacy", consumer="the executor", limit=2)

    assert (line().status, "is not on this broker: is the executor running" in line().detail) == ("fail", True)
    with Connection(broker) as connection, connection.channel() as channel:
        assert line().status == "fail", "looking declares nothing"
        channel.queue_declare("celery_executor_legacy", durable=True, auto_delete=False)
        assert (line().status, line().detail) == ("warn", "0 waiting, no consumer at present: is the executor running?")
        channel.basic_consume("celery_executor_legacy", callback=print)
        assert (line().status, line().detail) == ("ok", "0 waiting, 1 consumers")


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"arguments": {"x-queue-type": "quorum"}}, "another x-queue-type"),
        ({"arguments": {"x-message-ttl": 1000}}, "another x-message-ttl"),
        ({"durable": False}, "another durable"),
    ],
)
@pytest.mark.parametrize("ha", [False, True])
def test_a_queue_of_answers_that_the_executor_could_not_declare_fails(broker, options, named, ha):
    settings = settings_for(WorkerType.FILE_PROCESSING, CELERY_BROKER_BASE_URL=broker, RABBITMQ_HA_ENABLED=str(ha))
    with Connection(broker) as connection, connection.channel() as channel:
        channel.queue_declare("uw_executor_answers", **{"durable": True, "auto_delete": False} | options)
    line = next(line for line in broker_lines(settings) if line.subject == ANSWERS)

    assert line.status == "fail"
    assert f"is there with {named}" in line.detail
    assert "RABBITMQ_HA_ENABLED" not in line.detail
