"""What goes into the images and what guards them, tried outside: the health check, the secrets, Redis's ACL."""

import json
import re
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from engine import an_engine
from redis import Redis
from redis.exceptions import AuthenticationError, NoPermissionError
from unstract_images.__main__ import main
from unstract_images.running import ImagesError, run
from unstract_images.secret_files import write_secrets
from unstract_images.wheelhouse import fill, own_wheel
from unstract_images.workers import DOCKER, WORKERS

from unstract_devstack.ports import free_port
from unstract_devstack.redis_server import running_redis


class Pages(BaseHTTPRequestHandler):
    status = 200
    body = b""

    def do_GET(self):
        self.send_response(self.status if self.path == "/health/ready" else 404)
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def pages():
    server = HTTPServer(("127.0.0.1", 0), type("Own", (Pages,), {}))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def health(**environment: str) -> subprocess.CompletedProcess[str]:
    script = str(DOCKER / "image" / "healthcheck.py")
    return subprocess.run(
        (sys.executable, "-I", "-S", script), env=environment, capture_output=True, text=True, timeout=30, check=False
    )


NOT_READY = {
    "worker": "callback",
    "checks": {
        "ledger": {"ok": True, "detail": ""},
        "consumer": {"ok": False, "detail": "not connected to the broker"},
    },
}


def test_healthcheck_says_what_is_not_ready(pages):
    pages.RequestHandlerClass.status, pages.RequestHandlerClass.body = 503, json.dumps(NOT_READY).encode()
    done = health(WORKER_TYPE="callback", CALLBACK_HEALTH_PORT=str(pages.server_port))
    assert (done.returncode, done.stdout) == (1, "503: consumer: not connected to the broker\n")


@pytest.mark.parametrize("body", [b"", b"[]", b"\xff{", b'{"checks": {"a": 1}}'])
@pytest.mark.parametrize(("status", "code"), [(200, 0), (503, 1), (404, 1)])
def test_healthcheck_follows_the_status(pages, status, code, body):
    pages.RequestHandlerClass.status, pages.RequestHandlerClass.body = status, body
    done = health(WORKER_TYPE="file-processing", FILE_PROCESSING_HEALTH_PORT=str(pages.server_port))
    assert done.returncode == code
    assert str(status) in done.stdout


def test_healthcheck_fails_where_nobody_answers():
    done = health(WORKER_TYPE="callback", CALLBACK_HEALTH_PORT=str(free_port()), WORKER_HEALTH_HOST="0.0.0.0")  # noqa: S104
    assert done.returncode == 1
    assert "no answer" in done.stdout


def test_healthcheck_knows_the_ports_of_the_workers():
    sys.path.insert(0, str(DOCKER / "image"))
    try:
        import healthcheck
    finally:
        sys.path.pop(0)
    for worker in WORKERS:
        assert healthcheck.address({"WORKER_TYPE": worker.name}) == ("127.0.0.1", worker.health_port)
    for host, loopback in (("::", "::1"), ("[::]", "::1"), ("0.0.0.0", "127.0.0.1"), ("192.0.2.7", "192.0.2.7")):  # noqa: S104
        environment = {"WORKER_TYPE": "callback", "WORKER_HEALTH_HOST": host}
        assert healthcheck.address(environment) == (loopback, 8083)


def test_the_ledgers_user_may_use_the_ledger_and_nothing_else(tmp_path):
    secrets = write_secrets(tmp_path / "secrets", {}, platform=True)
    with running_redis(tmp_path, appendonly=False) as server, server.client() as admin:
        # The first line switches off the user that sets them.
        for line in reversed(secrets["redis_acl"].splitlines()):
            _, name, *rules = line.split()
            admin.execute_command("ACL", "SETUSER", name, "reset", *rules)
        ledger = Redis(port=server.port, username="ledger", password=secrets["ledger_url"].split(":")[2].split("@")[0])
        assert ledger.hset("uw:{run}:meta", "state", "ARMED") == 1
        assert ledger.eval("return redis.call('HGET', KEYS[1], 'state')", 1, "uw:{run}:meta") == b"ARMED"
        assert "redis_version" in ledger.info()
        for command in ("FLUSHALL", "KEYS *", "CONFIG GET *", "GET celery", "SHUTDOWN", "ACL LIST"):
            with pytest.raises(NoPermissionError):
                ledger.execute_command(*command.split())
        platform = Redis(port=server.port, username="platform", password=secrets["redis_password"])
        assert platform.lpush("celery", "message") == 1
        with pytest.raises(NoPermissionError):
            platform.flushall()
        assert Redis(port=server.port, username="health", password="health").ping() is True
        with pytest.raises(AuthenticationError):
            Redis(port=server.port, username="ledger", password="guess").ping()


def test_secret_files_are_in_a_folder_for_their_owner(tmp_path):
    contents = write_secrets(tmp_path / "secrets", {"internal_api_key": "the-backends"})
    assert (tmp_path / "secrets").stat().st_mode & 0o077 == 0
    assert (tmp_path / "secrets" / "internal_api_key").read_text() == "the-backends"
    assert "platform" not in contents["redis_acl"]
    assert write_secrets(tmp_path / "again", {})["ledger_url"] != contents["ledger_url"]


def test_secrets_that_are_there_are_not_replaced(tmp_path, capsys):
    (tmp_path / "internal_api_key").write_text("the-backends")
    assert main(("secrets", str(tmp_path))) == 1
    assert "holds internal_api_key already, and nothing was written" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["internal_api_key"]


def test_without_an_engine_the_trial_says_so_and_fails(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    reason = "no container engine answers, and podman lacks podman, runc, conmon"
    with pytest.raises(ImagesError, match=reason), an_engine(tmp_path):
        pass


def test_an_image_has_the_version_of_its_wheel(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("unstract_images.wheelhouse.WHEELS", tmp_path)
    (tmp_path / "unstract_worker_callback-1.4.0-py3-none-any.whl").touch()
    assert main(["build", "callback", "--variant", "chord", "--base", "base@sha256:0", "--print"]) == 0
    words = capsys.readouterr().out.split()
    assert words[words.index("--tag") + 1] == "unstract-worker-callback:1.4.0-chord"
    given = {word for word, option in zip(words[1:], words, strict=False) if option == "--build-arg"}
    assert {"VERSION=1.4.0", "EXTRAS=chord", "VARIANT=chord", "HEALTH_PORT=8083", "BASE=base@sha256:0"} < given
    declared = set(re.findall(r"^ARG (\w+)", (DOCKER / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE))
    assert {word.partition("=")[0] for word in given} <= declared
    assert main(["build", "api-deployment", "--variant", "chord"]) == 1
    assert "api-deployment has no variant 'chord': none" in capsys.readouterr().err


def test_a_wheel_that_is_missing_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr("unstract_images.wheelhouse.WHEELS", tmp_path / "wheels")
    with pytest.raises(ImagesError, match="one wheel of unstract-worker-core; it holds none"):
        fill([], released=tmp_path)
    with pytest.raises(ImagesError):
        own_wheel("unstract-worker-callback")


def test_a_program_that_fails_is_told_with_what_it_said():
    with pytest.raises(ImagesError, match="its last words"):
        run(("sh", "-c", "echo its last words >&2; exit 3"), seconds=10)
    with pytest.raises(ImagesError, match="is not installed"):
        run(("no-such-program",), seconds=10)
