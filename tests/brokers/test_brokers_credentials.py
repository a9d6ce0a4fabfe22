"""Servers that want to know who asks: client certificates of Redis and RabbitMQ, and sentinels with a password."""

import contextlib
import json
import subprocess
import sys

import pytest

from unstract_devstack.certificates import make_certificates
from unstract_devstack.fleet import CALLBACK, running_fleet
from unstract_devstack.ports import free_port
from unstract_devstack.processes import inherited_environment
from unstract_devstack.rabbitmq_server import running_rabbitmq
from unstract_devstack.redis_server import running_redis
from unstract_devstack.sentinel import running_sentinels
from unstract_devstack.stack import worker_environment

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    return make_certificates(tmp_path_factory.mktemp("certificates"))


def environment(broker_url, redis_url, **more):
    return (
        worker_environment(
            backend_url="http://127.0.0.1:1/internal", api_key="key", redis_url=redis_url, broker_url=broker_url
        )
        | more
    )


def fails(environ, *subjects):
    """Lines of `check` about these that say that something is wrong."""
    done = subprocess.run(
        [sys.executable, "-m", "unstract_worker_callback", "check", "--json"],
        env=inherited_environment() | environ, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    lines = json.loads(done.stdout)["lines"]
    assert {line["subject"] for line in lines} >= set(subjects), lines
    return {
        line["subject"]: line["detail"] for line in lines if line["subject"] in subjects and line["status"] == "fail"
    }


def serves(environ, folder):
    with running_fleet(environ, folder, kinds=(CALLBACK,)) as fleet:
        fleet.wait_ready(seconds=60)
        fleet.check()


@pytest.fixture(scope="module")
def strict_redis(tmp_path_factory, certificates):
    """A Redis that speaks TLS, with those that show a certificate of the authority."""
    port = free_port()
    options = (
        f"tls-port {port}", f"tls-cert-file {certificates.certificate}", f"tls-key-file {certificates.key}",
        f"tls-ca-cert-file {certificates.authority}", "tls-auth-clients yes",
    )  # fmt: skip
    with running_redis(tmp_path_factory.mktemp("redis"), options=options) as handle:
        yield handle, port


def test_a_client_certificate_for_redis_in_every_role(strict_redis, certificates, tmp_path):
    _, port = strict_redis
    tls = {
        "CELERY_BROKER_SSL_CA_CERTS": str(certificates.authority),
        "REDIS_HOST": "127.0.0.1", "REDIS_PORT": str(port), "REDIS_SSL": "true",
        "REDIS_SSL_CA_CERTS": str(certificates.authority),
    }  # fmt: skip
    own = {
        "CELERY_BROKER_SSL_CERTFILE": str(certificates.certificate), "CELERY_BROKER_SSL_KEYFILE": str(certificates.key),
        "REDIS_SSL_CERTFILE": str(certificates.certificate), "REDIS_SSL_KEYFILE": str(certificates.key),
    }  # fmt: skip
    url = f"rediss://127.0.0.1:{port}/0"
    roles = ("broker", "ledger redis", "platform redis")
    assert set(fails(environment(url, url, **tls), *roles)) == set(roles)
    assert fails(environment(url, url, **tls, **own), *roles) == {}
    serves(environment(url, url, **tls, **own), tmp_path / "logs")


def test_a_client_certificate_for_rabbitmq(certificates, tmp_path):
    port = free_port()
    options = (
        f"listeners.ssl.1 = 127.0.0.1:{port}", f"ssl_options.cacertfile = {certificates.authority}",
        f"ssl_options.certfile = {certificates.certificate}", f"ssl_options.keyfile = {certificates.key}",
        "ssl_options.verify = verify_peer", "ssl_options.fail_if_no_peer_cert = true",
    )  # fmt: skip
    with contextlib.ExitStack() as parts:
        parts.enter_context(running_rabbitmq(tmp_path / "rabbitmq", options=options))
        redis = parts.enter_context(running_redis(tmp_path / "redis"))
        url = f"amqps://guest:guest@localhost:{port}//"
        trusting = environment(url, redis.url, CELERY_BROKER_SSL_CA_CERTS=str(certificates.authority))
        own = {
            "CELERY_BROKER_SSL_CERTFILE": str(certificates.certificate),
            "CELERY_BROKER_SSL_KEYFILE": str(certificates.key),
        }
        assert "broker" in fails(trusting, "broker")
        assert fails(trusting | own, "broker") == {}
        serves(trusting | own, tmp_path / "logs")


def test_sentinels_with_a_password_in_every_role(tmp_path):
    with running_sentinels(tmp_path / "redis", password="of-the-sentinels") as sentinels:
        environ = environment("redis://127.0.0.1:1", "redis://127.0.0.1:1") | sentinels.worker_settings
        (secret := tmp_path / "secret").write_text("of-the-sentinels\n")
        own = {f"{role}_SENTINEL_PASSWORD_FILE": str(secret) for role in ("CELERY_BROKER", "REDIS", "CACHE_REDIS")}
        roles = ("broker", "ledger redis", "platform redis")
        assert set(fails(environ, *roles)) == set(roles)
        assert fails(environ | own, *roles) == {}
        serves(environ | own, tmp_path / "logs")
