"""Sending files to the reference backend's public face: every byte and every name arrives."""

import base64
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from unstract_devstack.backend_process import BackendProcess, running_backend
from unstract_devstack.demo.inputs import collect
from unstract_devstack.extraction import Field
from unstract_devstack.http_calls import CallFailed, call, call_json
from unstract_devstack.multipart import FileChanged, Upload
from unstract_devstack.platform_client import Platform
from unstract_devstack.processes import ProcessError
from unstract_devstack.redis_server import RedisHandle, running_redis


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisHandle]:
    with running_redis(tmp_path / "redis", appendonly=False) as server:
        yield server


@pytest.fixture
def backend(tmp_path: Path, redis: RedisHandle) -> Iterator[BackendProcess]:
    with running_backend(tmp_path / "backend", broker_url=redis.url, redis_url=redis.url) as process:
        yield process


@pytest.fixture
def platform(backend: BackendProcess) -> Platform:
    """A client with one API deployment called "given"."""
    client = Platform(backend.public_url, backend.api_key, "org_test")
    client.set_up_organization()
    client.create_api_deployment(client.create_workflow("w", "api", [Field("n", key="n")]), "given")
    return client


def started_files(redis: RedisHandle) -> dict[str, Any]:
    """The files in the start message that waits for an api-deployment worker."""
    with redis.client() as client:
        (message,) = client.lrange("celery_api_deployments", 0, -1)
    arguments, _, _ = json.loads(base64.b64decode(json.loads(message)["body"]))
    files: dict[str, Any] = arguments[3]
    return files


def test_every_name_and_every_byte_arrives(
    tmp_path: Path, redis: RedisHandle, backend: BackendProcess, platform: Platform
) -> None:
    source = tmp_path / "given"
    odd = [
        "plain.txt",
        "x/plain.txt",
        'quo"te.txt',
        "semi;colon=1.txt",
        "Größe ✓.txt",
        "per%22cent.txt",
        " spaced .txt",
    ]
    for number, name in enumerate(
        [*odd, "zero\u200bwidth.txt", "e\u0301.txt", "line\nbreak.txt", f"{'long' * 60}.txt"]
    ):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes(os.urandom(300_000) if number == 0 else f"\r\n--{name}\r\n".encode())
    files = collect([source]).files
    uploads = [Upload(file.path, file.name, file.size) for file in files]
    execution_id = platform.send_files("given", uploads, use_file_history=False)
    assert platform.execution(execution_id).total == len(files) == 11
    assert platform.results("given", execution_id).status == "PENDING"
    arrived = started_files(redis)
    assert set(arrived) == {file.name for file in files}
    staged = backend.process.log_path.parent
    for file in files:
        entry = arrived[file.name]
        if not entry["file_hash"].startswith("temp-hash-"):
            assert (staged / entry["file_path"]).read_bytes() == file.path.read_bytes()


def test_a_file_that_shrinks_or_goes_is_named_and_starts_nothing(
    tmp_path: Path, redis: RedisHandle, platform: Platform
) -> None:
    short, missing = tmp_path / "short.txt", tmp_path / "missing.txt"
    short.write_text("abc")
    for upload in (Upload(short, "short.txt", 10), Upload(missing, "missing.txt", 10)):
        with pytest.raises(FileChanged) as caught:
            platform.send_files("given", [upload], use_file_history=False)
        assert caught.value.upload == upload
    with redis.client() as client:
        assert client.llen("celery_api_deployments") == 0


def test_refusals_carry_the_backends_words(platform: Platform) -> None:
    with pytest.raises(CallFailed, match="no files") as caught:
        platform.send_files("given", [], use_file_history=False)
    assert caught.value.status == 400
    with pytest.raises(CallFailed, match="there is no API 'other'"):
        platform.results("other", "00000000-0000-4000-8000-000000000000")
    with pytest.raises(CallFailed, match="has no execution"):
        platform.execution("00000000-0000-4000-8000-000000000000")


def test_calls_tell_what_went_wrong(backend: BackendProcess) -> None:
    with pytest.raises(CallFailed, match="GET /internal/v1/health/: HTTP 401"):
        call_json("GET", f"{backend.internal_url}/v1/health/", key="wrong")
    assert call_json("GET", f"{backend.internal_url}/v1/health/", key=backend.api_key)["status"] == "healthy"
    with pytest.raises(CallFailed, match="not JSON"):
        call("GET", f"{backend.public_url}/nowhere").json()
    with pytest.raises(CallFailed, match=r"POST /x: .*refused") as caught:
        call("POST", "http://127.0.0.1:1/x")
    assert caught.value.status is None


def test_a_backend_that_cannot_start_shows_its_log(tmp_path: Path) -> None:
    with (
        pytest.raises(ProcessError, match=r"(?s)reference backend ended while it was starting.*--no-such-option"),
        running_backend(
            tmp_path,
            broker_url="redis://127.0.0.1:1/0",
            redis_url="redis://127.0.0.1:1/0",
            options=["--no-such-option"],
        ),
    ):
        pass
