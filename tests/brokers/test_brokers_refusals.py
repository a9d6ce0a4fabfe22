"""A broker that will never take a worker ends it at its start; one that may change its mind is asked less and less."""

import contextlib
import json

import pytest

from unstract_devstack.fleet import CALLBACK, running_fleet
from unstract_devstack.ports import free_port
from unstract_devstack.processes import wait_until
from unstract_devstack.rabbitmq_server import running_rabbitmq
from unstract_devstack.redis_server import running_redis
from unstract_devstack.stack import worker_environment

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def rabbit(tmp_path_factory):
    with running_rabbitmq(tmp_path_factory.mktemp("rabbitmq")) as handle:
        yield handle


@pytest.fixture(scope="module")
def redis(tmp_path_factory):
    with running_redis(tmp_path_factory.mktemp("redis")) as handle:
        yield handle


def environment(broker_url, redis_url, **more):
    backend = "http://127.0.0.1:1/internal"
    return worker_environment(backend_url=backend, api_key="key", redis_url=redis_url, broker_url=broker_url) | more


def ended(environ, folder):
    """Exit code and log of a worker that must end by itself."""
    with running_fleet(environ, folder, kinds=(CALLBACK,), ready_seconds=0) as fleet:
        (worker,) = fleet.workers.values()
        assert wait_until(lambda: not worker.running, seconds=60), worker.process.log_path.read_text()
        return worker.process.exit_code, worker.process.log_path.read_text()


@pytest.mark.parametrize(
    ("user", "vhost", "variable"),
    [("guest:wrong", "/", "CELERY_BROKER_PASS"), ("guest:guest", "nowhere", "CELERY_BROKER_BASE_URL")],
)
def test_a_user_or_a_vhost_that_rabbitmq_refuses(rabbit, redis, tmp_path, user, vhost, variable):
    url = f"amqp://{user}@127.0.0.1:{rabbit.port}/{vhost}"
    code, log = ended(environment(url, redis.url), tmp_path / "logs")
    assert code == 2
    assert variable in log
    assert "wrong" not in log


def test_queues_of_another_kind(rabbit, redis, tmp_path):
    with running_fleet(environment(rabbit.url, redis.url), tmp_path / "first", kinds=(CALLBACK,)):
        pass  # its queues are declared
    code, log = ended(environment(rabbit.url, redis.url, RABBITMQ_HA_ENABLED="true"), tmp_path / "second")
    assert code == 2
    assert "RABBITMQ_HA_ENABLED" in log


def test_a_password_that_a_redis_broker_refuses(redis, tmp_path):
    with running_redis(tmp_path / "strict", password="right-one") as strict:
        code, log = ended(environment(f"redis://:wrong-one@127.0.0.1:{strict.port}/0", redis.url), tmp_path / "logs")
    assert code == 2
    assert "CELERY_BROKER_PASS" in log
    assert "wrong-one" not in log


def test_what_a_redis_broker_will_never_do(redis, tmp_path):
    """A command that the user may not use, one that an old server lacks, a database that is not there, a cluster."""
    with contextlib.ExitStack() as parts:
        client = parts.enter_context(redis.client())
        client.acl_setuser("small", enabled=True, passwords=["+pw"], keys=["*"], commands=["+@all", "-evalsha"])
        old = parts.enter_context(running_redis(tmp_path / "old", options=('rename-command BLMOVE ""',)))
        options = ("cluster-enabled yes", f"cluster-port {free_port()}")
        cluster = parts.enter_context(running_redis(tmp_path / "cluster", options=options))
        for number, (url, problem) in enumerate({
            f"redis://small:pw@127.0.0.1:{redis.port}/0": "no permissions to run the 'evalsha' command",
            f"redis://127.0.0.1:{redis.port}/99": "there is no database of this number",
            old.url: "6.2 is the oldest",
            cluster.url: "Redis Cluster is not supported",
        }.items()):  # fmt: skip
            code, log = ended(environment(url, redis.url), tmp_path / f"logs {number}")
            assert (code, "CELERY_BROKER_BASE_URL" in log, problem in log) == (2, True, True), log


def test_a_password_that_the_redis_of_a_role_refuses(redis, tmp_path):
    with running_redis(tmp_path / "strict", password="right-one") as strict:
        ledger = {"WORKER_LEDGER_REDIS_URL": f"redis://:wrong-one@127.0.0.1:{strict.port}/0"}
        code, log = ended(environment(redis.url, redis.url, **ledger), tmp_path / "logs")
        assert code == 2
        assert "WORKER_LEDGER_REDIS_URL" in log
        cache = {"CACHE_REDIS_PORT": str(strict.port), "CACHE_REDIS_PASSWORD": "wrong-one"}
        code, log = ended(environment(redis.url, redis.url, **cache), tmp_path / "logs of the cache")
        assert code == 2
        assert "CACHE_REDIS_*: the user or the password is refused" in log


def test_a_broker_that_is_away_at_the_start_is_waited_for(redis, tmp_path):
    with running_redis(tmp_path / "late") as late:
        late.kill()
        with running_fleet(
            environment(late.url, redis.url), tmp_path / "logs", kinds=(CALLBACK,), ready_seconds=0
        ) as fleet:
            (worker,) = fleet.workers.values()
            assert wait_until(lambda: "the broker cannot be reached" in worker.process.log_path.read_text(), seconds=30)
            late.start()
            fleet.wait_ready(seconds=60)


def test_a_limit_of_connections_is_waited_for(rabbit, redis, tmp_path):
    rabbit.control("set_vhost_limits", "-p", "/", '{"max-connections": 0}')
    try:
        with running_fleet(
            environment(rabbit.url, redis.url), tmp_path / "logs", kinds=(CALLBACK,), ready_seconds=0
        ) as fleet:
            (worker,) = fleet.workers.values()
            assert wait_until(lambda: worker.process.log_path.read_text().count("limit") >= 2, seconds=60)
            rabbit.control("set_vhost_limits", "-p", "/", "{}")
            fleet.wait_ready(seconds=60)
    finally:
        rabbit.control("set_vhost_limits", "-p", "/", "{}")


def test_a_refusal_that_comes_later_is_asked_about_less_and_less(rabbit, redis, tmp_path):
    """A password is changed under a running worker: it stays, says why, and serves again once it is changed back."""
    rabbit.control("add_user", "worker", "first-one")
    rabbit.control("set_permissions", "worker", ".*", ".*", ".*")
    url = f"amqp://worker:first-one@127.0.0.1:{rabbit.port}//"
    with running_fleet(environment(url, redis.url), tmp_path / "logs", kinds=(CALLBACK,), ready_seconds=0) as fleet:
        (worker,) = fleet.workers.values()
        fleet.wait_ready(seconds=60)

        def refused():
            return worker.process.log_path.read_text().count("the broker refuses this worker")

        rabbit.control("change_password", "worker", "second-one")
        rabbit.control("close_all_connections", "changed")
        assert wait_until(lambda: refused() >= 4, seconds=60)
        log = worker.process.log_path.read_text()
        assert [pause for pause in ("1.0", "2.0", "4.0") if f'"seconds":{pause}' in log.replace(" ", "")] == [
            "1.0",
            "2.0",
            "4.0",
        ]
        rabbit.control("change_password", "worker", "first-one")
        fleet.wait_ready(seconds=60)
        assert worker.running


def test_a_port_where_nothing_listens_is_not_a_refusal_and_is_tried_again_soon(redis, tmp_path):
    url = f"amqp://u:p@127.0.0.1:{free_port()}//"
    with running_fleet(environment(url, redis.url), tmp_path / "logs", kinds=(CALLBACK,), ready_seconds=0) as fleet:
        (worker,) = fleet.workers.values()

        def pauses():
            lines = [line for line in worker.process.log_path.read_text().splitlines() if "cannot be reached" in line]
            return [json.loads(line)["seconds"] for line in lines]

        assert wait_until(lambda: len(pauses()) >= 4, seconds=90)
        assert pauses()[:4] == [2, 4, 6, 6]
        assert worker.running
