"""`check` against a running stack, and against what is wrong with one."""

import shutil
import socket
import threading

import pytest
from kombu import Connection

from unstract_devstack.certificates import make_certificates
from unstract_devstack.http_calls import call_json
from unstract_devstack.ports import free_port
from unstract_devstack.rabbitmq_server import running_rabbitmq
from unstract_devstack.redis_server import running_redis
from unstract_worker_core.operator.check.command import clock_line

# Each command is a process of its own, and a machine may be busy.
pytestmark = pytest.mark.timeout(400)

WORKERS = ("api_deployment", "general", "file_processing", "callback")


def lines(done) -> dict[str, dict]:
    """The worst line about each subject."""
    order = ("skip", "ok", "warn", "fail")
    found: dict[str, dict] = {}
    for line in done.json["lines"]:
        worst = found.get(line["subject"])
        if worst is None or order.index(line["status"]) > order.index(worst["status"]):
            found[line["subject"]] = line
    return found


@pytest.mark.parametrize("worker", WORKERS)
def test_a_stack_in_order_passes_at_every_worker(ground, worker):
    done = ground.run("check", "--json", "--organization", ground.platform.organization, worker=worker)
    assert (done.code, done.json["ok"]) == (0, True), done.out + done.err
    found = lines(done)
    # a stack without chords has no result table to clean: only general says so
    others = [line for line in found.values() if line["subject"] != "celery.backend_cleanup"]
    assert [line for line in others if line["status"] != "ok"] == []
    expected = {"configuration", "broker", "ledger redis", "platform redis", "cache redis", "backend", "clock"}
    assert expected | {"organization scoping", f"organization {ground.platform.organization}"} <= set(found)
    assert sum(subject.startswith("queue ") for subject in found) >= 2


def test_it_says_what_to_do_in_words_too(ground):
    done = ground.run("check")
    assert done.code == 0
    assert "warn  organization: none was checked: name one with --organization" in done.out


def test_an_organization_that_the_backend_does_not_know_fails(ground):
    done = ground.run("check", "--json", "--organization", "org_of_nobody")
    assert done.code == 1
    assert lines(done)["organization org_of_nobody"]["status"] == "fail"


def test_a_wrong_key_is_told_from_a_backend_that_is_away(ground):
    refused = lines(ground.run("check", "--json", INTERNAL_SERVICE_API_KEY="not-the-key-of-it"))
    assert refused["backend"]["status"] == "fail"
    assert "set INTERNAL_SERVICE_API_KEY to the backend's" in refused["backend"]["detail"]
    url = f"http://127.0.0.1:{free_port()}/internal"
    away = lines(ground.run("check", "--json", "--organization", "org_x", INTERNAL_API_BASE_URL=url))
    hint = "is INTERNAL_API_BASE_URL right, is the backend up?"
    assert away["backend"]["detail"] == f"{url}: no connection: connection refused; {hint}"
    assert away["organization org_x"]["status"] == "skip"
    elsewhere = lines(ground.run("check", "--json", INTERNAL_API_BASE_URL=f"{ground.stack.backend.public_url}/inner"))
    assert "nothing is served at GET /inner/v1/health/" in elsewhere["backend"]["detail"]
    assert "{" not in elsewhere["backend"]["detail"]


def test_an_organization_without_a_platform_key_is_named(ground):
    key, name = ground.stack.backend.api_key, f"{ground.platform.organization}_keyless"
    made = {"organization_id": name, "name": "k", "platform_key": None}
    call_json("POST", f"{ground.stack.backend.public_url}/dev/organizations", payload=made, key=key)
    done = ground.run("check", "--json", "--organization", name)
    assert done.code == 0
    found = lines(done)[f"organization {name}"]
    assert found["status"] == "warn"
    assert "no active platform key" in found["detail"]


def test_each_server_is_named_with_its_place_and_the_cause_and_nothing_after_it_vanishes(ground):
    closed = free_port()
    variables = {
        "CELERY_BROKER_BASE_URL": f"redis://127.0.0.1:{closed}/0",
        "WORKER_LEDGER_REDIS_URL": "redis://no-such-host.invalid:6379/0",
        "CACHE_REDIS_USERNAME": "somebody",
        "CACHE_REDIS_PASSWORD": "a-wrong-password",
    }
    done = ground.run("check", "--json", **variables)
    found = lines(done)
    assert done.code == 1
    assert found["broker"]["detail"].startswith(f"redis://127.0.0.1:{closed}/0: connection refused")
    assert found["ledger redis"]["detail"].startswith("no-such-host.invalid:6379/0: unknown host name")
    assert "user or password refused" in found["cache redis"]["detail"]
    assert found["platform redis"]["status"] == "ok"
    skipped = [line["subject"] for line in done.json["lines"] if line["status"] == "skip"]
    assert [subject for subject in skipped if subject.startswith("queue ")] == [
        "queue file_processing_callback", "queue api_file_processing_callback", "queue uw_callback",
    ]  # fmt: skip
    assert "a-wrong-password" not in done.out + done.err


@pytest.mark.parametrize("first_bytes", [b"SSH-2.0-OpenSSH_9.2\r\n", b"HTTP/1.1 400 Bad Request\r\n\r\n"])
def test_another_protocol_on_the_port_is_no_redis(ground, first_bytes):
    def answer() -> None:
        while True:
            client, _ = server.accept()
            with client:
                client.sendall(first_bytes)
                client.recv(1000)

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=answer, daemon=True).start()
        url = f"redis://127.0.0.1:{server.getsockname()[1]}/0"
        found = lines(ground.run("check", "--json", CELERY_BROKER_BASE_URL=url, WORKER_LEDGER_REDIS_URL=url))
    for subject in ("broker", "ledger redis"):
        assert found[subject]["status"] == "fail"
        assert "the server there is not Redis; look at" in found[subject]["detail"]


def test_a_certificate_of_another_authority_is_named_with_its_variable(ground, tmp_path):
    certificates, port = make_certificates(tmp_path / "server"), free_port()
    options = (
        f"tls-port {port}", f"tls-cert-file {certificates.certificate}", f"tls-key-file {certificates.key}",
        f"tls-ca-cert-file {certificates.authority}", "tls-auth-clients no",
    )  # fmt: skip
    url = f"rediss://127.0.0.1:{port}/0"
    with running_redis(tmp_path / "tls", options=options):
        done = ground.run("check", "--json", CELERY_BROKER_BASE_URL=url, WORKER_LEDGER_REDIS_URL=url)
    found = lines(done)
    assert (
        "certificate refused: self-signed certificate in certificate chain; its CA goes to" in found["broker"]["detail"]
    )
    assert "CELERY_BROKER_SSL_CA_CERTS" in found["broker"]["detail"]
    assert found["ledger redis"]["detail"].endswith(
        "its CA goes to REDIS_SSL_CA_CERTS, or into the URL as ssl_ca_certs"
    )


def test_an_executor_that_is_not_installed_fails_as_it_would_at_the_start(ground):
    done = ground.run("check", "--json", worker="file_processing", WORKER_FILE_EXECUTOR="of_nobody")
    assert done.code == 1
    assert lines(done)["file executor"]["status"] == "fail"
    assert "WORKER_FILE_EXECUTOR not installed; there are: backend" in lines(done)["file executor"]["detail"]


def test_a_result_backend_that_is_away_fails(ground):
    variables = {"CHORD_COMPAT": "true", "CELERY_BACKEND_DB_HOST": "127.0.0.1", "CELERY_BACKEND_DB_PORT": str(free_port()),
                 "CELERY_BACKEND_DB_NAME": "n", "CELERY_BACKEND_DB_USER": "u", "CELERY_BACKEND_DB_PASSWORD": "pw-of-it"}  # fmt: skip
    done = ground.run("check", "--json", **variables)
    assert done.code == 1
    assert lines(done)["result backend"]["status"] == "fail"
    assert "connection refused" in lines(done)["result backend"]["detail"]
    assert "pw-of-it" not in done.out + done.err


def test_a_misspelt_variable_is_a_warning(ground):
    found = [line["detail"] for line in ground.run("check", "--json", WORKER_LEASE_SECOND="60").json["lines"]]
    assert "WORKER_LEASE_SECOND is not known and has no effect; did you mean WORKER_LEASE_SECONDS?" in found


@pytest.mark.parametrize(
    "fault", [{"kind": "html"}, {"kind": "status", "status": 404}, {"kind": "status", "status": 500}]
)
def test_a_broken_backend_fails(ground, fault):
    dev, key = f"{ground.stack.backend.public_url}/dev/faults", ground.stack.backend.api_key
    call_json("POST", dev, payload={"path": "/v1/health/", **fault}, key=key)
    try:
        done = ground.run("check", "--json")
    finally:
        call_json("DELETE", dev, key=key)
    assert done.code == 1
    assert lines(done)["backend"]["status"] == "fail"


def test_a_backend_that_does_not_keep_organizations_apart_fails(ground):
    run_id = ground.send()
    row = f'[{{"id": "{run_id}", "workflow_id": "{run_id}", "status": "PENDING"}}]'
    dev, key = f"{ground.stack.backend.public_url}/dev/faults", ground.stack.backend.api_key
    call_json("POST", dev, payload={"path": "/v1/workflow-execution/$", "kind": "body", "body": row}, key=key)
    try:
        done = ground.run("check", "--json", "--organization", ground.platform.organization)
    finally:
        call_json("DELETE", dev, key=key)
    found = lines(done)["organization scoping"]
    assert (done.code, found["status"]) == (1, "fail")
    assert "does not exist sees 1 executions" in found["detail"]


def test_each_redis_role_is_told_what_it_would_lose(ground, tmp_path):
    with running_redis(tmp_path / "redis", appendonly=False) as other:
        with other.client() as client:
            client.config_set("maxmemory-policy", "allkeys-lru")
        everywhere = {
            "CELERY_BROKER_BASE_URL": other.url, "WORKER_LEDGER_REDIS_URL": other.url, "REDIS_PORT": str(other.port),
            "CACHE_REDIS_PORT": str(other.port),
        }  # fmt: skip
        done = ground.run("check", "--json", **everywhere)
        found = lines(done)
        assert done.code == 1
        assert found["ledger redis"]["status"] == "fail"
        assert "noeviction" in found["ledger redis"]["detail"]
        for subject, loss in (
            ("broker", "start messages"),
            ("platform redis", "API results"),
            ("cache redis", "marks"),
        ):
            reported = [line for line in done.json["lines"] if line["subject"] == subject and loss in line["detail"]]
            assert [line["status"] for line in reported if "eviction" in line["detail"]] == ["warn"]
        with other.client() as client:
            client.config_set("maxmemory-policy", "noeviction")
            client.set("uw_callback", "not a list")
        found = lines(ground.run("check", "--json", **everywhere))
        assert (found["ledger redis"]["status"], found["broker"]["status"]) == ("warn", "warn")  # no AOF
        assert found["queue uw_callback"]["status"] == "fail"


def test_a_user_without_info_is_told_what_was_not_looked_at(ground, tmp_path):
    with running_redis(tmp_path / "redis") as other:
        with other.client() as client:
            client.execute_command("ACL", "SETUSER", "least", "on", ">its-own-password", "~*", "+@all", "-info")
        variables = {"REDIS_PORT": str(other.port), "REDIS_USERNAME": "least", "REDIS_PASSWORD": "its-own-password"}
        done = ground.run("check", "--json", WORKER_LEDGER_REDIS_URL=ground.stack.redis.url, **variables)
    assert "grant +info" in lines(done)["platform redis"]["detail"]
    assert lines(done)["platform redis"]["status"] == "warn"
    assert "its-own-password" not in done.out + done.err


def test_both_clocks_are_compared(ground):
    reported = [line["detail"] for line in ground.run("check", "--json").json["lines"] if line["subject"] == "clock"]
    assert [detail.split(" is ")[0] for detail in reported] == ["the ledger's Redis", "the backend"]


def test_a_clock_that_is_off_is_a_warning():
    assert clock_line("the backend", 2.0).status == "ok"
    assert clock_line("the backend", -31.0).status == "warn"
    assert clock_line("the backend", -31.0).detail.startswith("the backend is 31.0 s behind this machine")


@pytest.mark.skipif(shutil.which("rabbitmq-server") is None, reason="RabbitMQ is not installed here")
def test_queues_of_the_other_kind_are_a_failure_on_rabbitmq(ground, tmp_path):
    with running_rabbitmq(tmp_path / "rabbitmq") as rabbit:
        variables = {"CELERY_BROKER_BASE_URL": rabbit.url}
        before = ground.run("check", "--json", **variables)
        assert before.code == 0
        assert lines(before)["broker"]["detail"].startswith("RabbitMQ ")
        assert "is not declared yet" in lines(before)["queue uw_callback"]["detail"]
        again = lines(ground.run("check", "--json", **variables))
        assert "is not declared yet" in again["queue uw_callback"]["detail"]  # looking declared nothing
        rabbit.control("add_user", "poor", "poor")
        rabbit.control("set_permissions", "poor", "^$", ".*", ".*")
        poor = ground.run("check", "--json", CELERY_BROKER_BASE_URL=rabbit.url.replace("guest:guest", "poor:poor"))
        assert poor.code == 1
        assert "the user may not declare it" in lines(poor)["queue uw_callback"]["detail"]
        with Connection(rabbit.url) as connection:
            connection.default_channel.queue_declare("uw_callback", durable=True, auto_delete=False)
        classic = lines(ground.run("check", "--json", **variables))["queue uw_callback"]
        assert (classic["status"], classic["detail"]) == ("ok", "classic, 0 waiting, no consumers now")
        done = ground.run("check", "--json", RABBITMQ_HA_ENABLED="true", **variables)
        found = lines(done)["queue uw_callback"]
        assert (done.code, found["status"]) == (1, "fail")
        assert "probably as a classic queue, while RABBITMQ_HA_ENABLED is on" in found["detail"]
