"""A RabbitMQ that falls silent at the worst moment: while a worker waits for its word and looks at nothing else."""

import contextlib

import pytest

from unstract_devstack.backend_process import running_backend
from unstract_devstack.faults.relay import running_relay
from unstract_devstack.fleet import API_DEPLOYMENT, CALLBACK, FILE_PROCESSING, running_fleet
from unstract_devstack.processes import wait_until
from unstract_devstack.rabbitmq_server import running_rabbitmq
from unstract_devstack.redis_server import running_redis
from unstract_devstack.stack import worker_environment
from unstract_devstack.today.scenario import new_tenant
from unstract_worker_core.config import BrokerSettings, Secret
from unstract_worker_core.observability.metrics import Metrics
from unstract_worker_core.worker.doorbell_publisher import CeleryDoorbells

pytestmark = pytest.mark.timeout(300)

# Class and method of an AMQP frame, as on the wire.
WORDS = {"queue.declare": b"\x00\x32\x00\x0a", "basic.consume": b"\x00\x3c\x00\x14"}
DELIVERY = b"\x00\x3c\x00\x3c"


@pytest.fixture(scope="module")
def ground(tmp_path_factory):
    """A fleet that reaches RabbitMQ through a relay, and one organization with an API deployment."""
    folder = tmp_path_factory.mktemp("silence")
    with contextlib.ExitStack() as parts:
        rabbit = parts.enter_context(running_rabbitmq(folder / "rabbitmq"))
        relay = parts.enter_context(running_relay("broker", rabbit.port))
        redis = parts.enter_context(running_redis(folder / "redis"))
        backend = parts.enter_context(
            running_backend(folder / "backend", broker_url=rabbit.url, redis_url=redis.url, options=("--mode", "keyed"))
        )
        relayed = rabbit.url.replace(str(rabbit.port), str(relay.port))
        environment = worker_environment(
            backend_url=backend.internal_url, api_key=backend.api_key, redis_url=redis.url, broker_url=relayed
        )
        environment |= {"CELERY_BROKER_HEARTBEAT": "4"}
        kinds = (API_DEPLOYMENT, FILE_PROCESSING, CALLBACK)
        fleet = parts.enter_context(running_fleet(environment, folder / "logs", kinds=kinds))
        tenant = new_tenant(backend.public_url, backend.api_key, folder)
        tenant.api()
        yield relay, fleet, tenant


def test_work_goes_on_although_every_connection_stays_silent(ground):
    """Half open: nothing passes on them any more, and neither side learns it but by the heartbeat."""
    relay, fleet, tenant = ground
    under_way = tenant.send({"u.txt": b"Total: 0"})
    relay.silence()
    relay.heal()
    for execution in (under_way, tenant.send({"v.txt": b"Total: 9"})):
        seen = tenant.ended(execution, api="extract")
        assert (seen.status, seen.executed) == ("COMPLETED", 1)
    fleet.check()


@pytest.mark.parametrize("word", WORDS)
def test_a_worker_gets_over_a_question_that_is_never_answered(ground, word):
    relay, fleet, tenant = ground
    relay.deaf_at, relay.deafened = WORDS[word], 0
    relay.hang_up()
    assert wait_until(lambda: relay.deafened >= len(fleet.workers), seconds=60)
    relay.deaf_at = None
    fleet.wait_ready(seconds=90)
    seen = tenant.ended(tenant.send({"a.txt": b"Total: 1"}), api="extract")
    assert (seen.status, seen.executed) == ("COMPLETED", 1)
    fleet.check()


def test_a_worker_gets_over_a_message_of_which_it_was_sent_a_part(ground):
    relay, fleet, tenant = ground
    relay.torn_at, relay.deafened = DELIVERY, 0
    execution = tenant.send({"a.txt": b"Total: 2"})
    assert wait_until(lambda: relay.deafened, seconds=30)
    relay.torn_at = None
    seen = tenant.ended(execution, api="extract")
    assert (seen.status, seen.executed) == ("COMPLETED", 1)
    fleet.check()


def test_idle_connections_that_are_closed_are_replaced_without_a_word(tmp_path, capsys):
    with running_rabbitmq(tmp_path) as rabbit, running_relay("workers", rabbit.port) as relay:
        url = Secret(f"amqp://guest:guest@127.0.0.1:{relay.port}//")
        doorbells = CeleryDoorbells(BrokerSettings(url), Metrics("x", ()))
        for number, close in enumerate((relay.hang_up, lambda: rabbit.control("close_all_connections", "idle"))):
            assert doorbells.depth(("uw_callback",)) == number
            close()
            doorbells.ring_callback("run")
            listed = f"uw_callback\t{number + 1}"  # a ring is not confirmed: it may still be on its way
            assert wait_until(lambda: listed in rabbit.control("list_queues", "name", "messages"), seconds=30)  # noqa: B023
            close()
            assert wait_until(lambda: not rabbit.control("list_connections", "--no-table-headers", "name"), seconds=30)
            assert doorbells.depth(("uw_callback",)) == number + 1
        doorbells.close()
    assert "not known" not in capsys.readouterr().out
