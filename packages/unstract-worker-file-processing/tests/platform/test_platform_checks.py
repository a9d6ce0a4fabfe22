"""What `check` says of the executor `platform`, against servers as they should be, and as they should not."""

import json

import pytest
from attrs import evolve
from redis import Redis

from unstract_devstack.executor.storage import minio
from unstract_devstack.ports import free_port
from unstract_worker_core.config import BrokerSettings, Secret
from unstract_worker_core.config.parsers import store
from unstract_worker_file_processing.platform import stores
from unstract_worker_file_processing.platform.checks import platform_lines

ORGANIZATION = "org_files"
KEY_LINE = f"platform key of {ORGANIZATION}"
QUEUE = "queue celery_executor_legacy"
SECRET = "canary-of-check"


@pytest.fixture
def broker_url(redis_server):
    """A database of its own: the executor of other tests consumes the first."""
    url = redis_server.url.removesuffix("/0") + "/6"
    with Redis.from_url(url) as client:
        client.flushdb()
        yield url


@pytest.fixture
def check(configured, broker_url, platform):
    platform.dev("POST", "organizations", {"organization_id": ORGANIZATION, "name": "n", "platform_key": "k"})

    def lines(*, organizations=(ORGANIZATION,), broker=broker_url, api_prefix=None, **executor):
        settings = configured.settings
        settings = evolve(
            settings,
            broker=BrokerSettings(Secret(broker)),
            executor=evolve(settings.executor, **executor),
            files=evolve(settings.files, api_dir_prefix=api_prefix or settings.files.api_dir_prefix),
        )
        found = list(platform_lines(settings, organizations))
        assert SECRET not in repr(found)
        return {line.subject: (line.status, line.detail) for line in found}

    return lines


def test_what_is_in_order_is_ok_and_leaves_nothing(check, object_store, platform, s3):
    (platform.data / "unstract").mkdir(exist_ok=True)
    before = s3._system().find("unstract/execution")

    found = check()

    assert {status for status, _ in found.values()} == {"ok"}, found
    assert list(found) == ["store of executions", "store of uploads", "platform-service", KEY_LINE, QUEUE]
    place = object_store.url.removeprefix("http://")
    assert found["store of executions"][1] == f"unstract/execution at {place}: written, read and deleted"
    assert "cannot" not in found[QUEUE][1]
    assert s3._system().find("unstract/execution") == before


def test_a_store_that_is_away_is_named_with_its_place_and_cause(check):
    port = free_port()
    away = store(minio(f"http://127.0.0.1:{port}", secret=SECRET))

    found = check(files_store=away, uploads_store=away)

    place = f"127.0.0.1:{port}: connection refused: nothing listens there; look at "
    assert found["store of executions"] == (
        "fail", place + "WORKFLOW_EXECUTION_FILE_STORAGE_CREDENTIALS and WORKFLOW_EXECUTION_DIR_PREFIX",
    )  # fmt: skip
    assert found["store of uploads"] == ("fail", place + "API_FILE_STORAGE_CREDENTIALS and API_EXECUTION_DIR_PREFIX")
    assert found["platform-service"][0] == "ok"


def test_a_bucket_that_is_not_there_is_named(check, object_store):
    found = check(
        files_prefix="no-bucket/execution", uploads_store=store(object_store.variable), api_prefix="no-uploads/api"
    )

    assert found["store of executions"][0] == found["store of uploads"][0] == "fail"
    assert "there is no no-bucket in it" in found["store of executions"][1]
    assert "there is no no-uploads in it" in found["store of uploads"][1]


def test_a_store_whose_driver_is_not_installed_skips_the_other(check):
    gcs = store(json.dumps({"provider": "gcs", "credentials": {}}))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stores, "find_spec", lambda module: None if module == "gcsfs" else module)
        found = check(uploads_store=gcs)

    assert found["store of executions"] == ("fail", "install unstract-worker-file-processing[gcs]")
    assert found["store of uploads"][0] == "skip"


def test_a_folder_that_no_file_came_into_yet_is_a_warning(check):
    status, detail = check(api_prefix="of-nobody/api")["store of uploads"]

    assert (status, "there is no of-nobody in it: no file came yet" in detail) == ("warn", True)


@pytest.mark.parametrize(
    ("host", "cause"),
    [("http://127.0.0.1", "connection refused"), ("http://no-such-host.invalid", "unknown host name")],
)
def test_a_platform_service_that_is_away_skips_its_keys(check, host, cause):
    port = free_port()

    found = check(service_host=host, service_port=port)

    status, detail = found["platform-service"]
    assert status == "fail"
    assert detail.startswith(f"{host.removeprefix('http://')}:{port}: {cause}")
    assert detail.endswith("look at PLATFORM_SERVICE_HOST and _PORT")
    assert found[KEY_LINE] == ("skip", "platform-service cannot be used")


@pytest.mark.parametrize(
    ("answer", "reached", "key"),
    [
        (500, ("fail", "HTTP 500"), ("skip", "cannot be used")),
        (200, ("fail", "HTTP 200 to a tool that does not exist: is it platform-service?"), ("skip", "cannot be used")),
        (401, ("ok", "HTTP 401"), ("fail", "does not accept it (HTTP 401)")),
    ],
)
def test_what_platform_service_answers_is_said(check, service, answer, reached, key):
    service.status = answer

    found = check()

    for subject, (status, detail) in {"platform-service": reached, KEY_LINE: key}.items():
        assert found[subject][0] == status
        assert detail in found[subject][1]


def test_an_organization_without_a_key_is_no_fault_of_platform_service(check, platform):
    platform.dev("POST", "organizations", {"organization_id": "org_keyless", "name": "k", "platform_key": None})

    found = check(organizations=("org_keyless",))

    assert found["platform key of org_keyless"] == (
        "skip", "the organization has none: create one in its platform settings",
    )  # fmt: skip


def test_the_queue_on_redis_is_full_or_no_queue_or_away(check, broker_url):
    with Redis.from_url(broker_url) as client:
        client.lpush("celery_executor_legacy", "a", "b")
        assert check()[QUEUE] == ("ok", "2 waiting, Redis does not say whether anybody consumes it")
        assert "until fewer than 2 wait" in check(queue_limit=2)[QUEUE][1]
        client.delete("celery_executor_legacy")
        client.set("celery_executor_legacy", "text")
        assert check()[QUEUE][0] == "fail"

    away = check(broker=f"redis://127.0.0.1:{free_port()}/0")[QUEUE]
    assert away[0] == "skip"
    assert "connection refused" in away[1]
