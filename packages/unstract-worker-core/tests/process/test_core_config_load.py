"""Settings from an environment: all faults are reported at once, and no value is shown."""

import pickle
import traceback
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unstract_worker_core.config import RedisSettings, Secret, Settings, load_settings
from unstract_worker_core.config.parsers import join_host_port, split_host_port
from unstract_worker_core.errors import ConfigurationError
from unstract_worker_core.statuses import WorkerType

GOOD = {
    "INTERNAL_API_BASE_URL": "http://backend:8000/internal",
    "INTERNAL_SERVICE_API_KEY": "key-of-the-tests",
    "CELERY_BROKER_BASE_URL": "redis://broker:6379/0",
}
CANARY = "canary-5f2c"


def load(
    more: Mapping[str, str] | None = None,
    *,
    worker: WorkerType = WorkerType.CALLBACK,
    development: bool = False,
) -> Settings:
    return load_settings(GOOD | dict(more or {}), worker=worker, development=development)


def faults(more: Mapping[str, str], *, worker: WorkerType = WorkerType.CALLBACK) -> dict[str, str]:
    with pytest.raises(ConfigurationError) as caught:
        load(more, worker=worker)
    assert caught.value.__cause__ is None
    return {fault.variable: fault.problem for fault in caught.value.faults}


def test_three_variables_are_enough() -> None:
    settings = load()
    assert settings.backend.base_url == "http://backend:8000/internal"
    assert settings.backend.api_key == Secret("key-of-the-tests")
    assert settings.broker.url.reveal() == "redis://broker:6379/0"
    assert settings.broker.is_redis
    assert settings.platform_redis == settings.cache_redis == settings.ledger_redis == RedisSettings()
    assert settings.process.health_port == 8083
    assert settings.ledger.recheck_seconds == 138
    assert settings.version
    assert settings.instance
    assert settings.warnings == ()


def test_every_fault_is_told_at_once() -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_settings(
            {
                "INTERNAL_SERVICE_API_KEY": "",
                "INTERNAL_API_TIMEOUT": "soon",
                "REDIS_PORT": "70000",
                "CALLBACK_HEALTH_PORT": "8083 ",
                "WEBHOOK_ALLOWED_PORTS": "80,x",
                "WORKER_LEDGER_REDIS_URL": "http://x",
            },
            worker=WorkerType.CALLBACK,
        )
    assert {(fault.variable, fault.problem) for fault in caught.value.faults} == {
        ("INTERNAL_API_BASE_URL", "is required"),
        ("INTERNAL_SERVICE_API_KEY", "is empty"),
        ("CELERY_BROKER_BASE_URL", "is required"),
        ("INTERNAL_API_TIMEOUT", "must be a number of seconds, such as 30 or 2.5"),
        ("REDIS_PORT", "must be between 1 and 65535"),
        ("CALLBACK_HEALTH_PORT", "has leading or trailing whitespace"),
        ("WEBHOOK_ALLOWED_PORTS", "must be a whole number"),
        (
            "WORKER_LEDGER_REDIS_URL",
            "must be a redis://, rediss:// or sentinel:// URL (Redis Cluster is not supported)",
        ),
    }


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("INTERNAL_API_BASE_URL", f"http://user:{CANARY}@backend/internal"),
        ("INTERNAL_API_BASE_URL", f"http://backend/internal?key={CANARY}"),
        ("INTERNAL_API_BASE_URL", f"http://backend/internal#{CANARY}"),
        ("INTERNAL_API_BASE_URL", f"ftp://{CANARY}/internal"),
        ("INTERNAL_API_BASE_URL", f"http://{CANARY}"),
        ("INTERNAL_API_BASE_URL", f"http://[{CANARY}/internal"),
        ("INTERNAL_API_BASE_URL", f"http://{CANARY}:port/internal"),
        ("INTERNAL_API_BASE_URL", f"http://back end{CANARY}/internal"),
        ("INTERNAL_SERVICE_API_KEY", f"{CANARY}\x00"),
        ("INTERNAL_SERVICE_API_KEY", f"{CANARY} "),
        ("INTERNAL_SERVICE_API_KEY", "dev-internal-key-123"),
        ("INTERNAL_API_WEBHOOK_PREFIX", f"../{CANARY}"),
        ("INTERNAL_API_WEBHOOK_PREFIX", f"http://{CANARY}/"),
        ("INTERNAL_API_TOTAL_TIMEOUT", "10"),
        ("INTERNAL_API_CA_FILE", f"/nowhere/{CANARY}"),
        ("CELERY_BROKER_BASE_URL", f"kafka://user:{CANARY}@x"),
        ("CELERY_BROKER_BASE_URL", f"redis://user:{CANARY}@x:port"),
        ("CELERY_BROKER_BASE_URL", f"redis://x;amqp://{CANARY}"),
        ("CELERY_BROKER_BASE_URL", f"redis:{CANARY}"),
        ("REDIS_PASSWORD", "changeme"),
        ("REDIS_SSL", CANARY),
        ("REDIS_SSL_CA_CERTS", f"/nowhere/{CANARY}"),
        ("REDIS_HOST", f"{CANARY},other"),
        ("WORKER_LEDGER_REDIS_URL", f"redis://u:{CANARY}@h/x"),
        ("WORKER_LEDGER_REDIS_URL", f"redis://u:{CANARY}@h/1?a=b"),
        ("WORKER_LEDGER_REDIS_URL", f"redis://u:{CANARY}@h1,h2/1"),
        ("WORKER_LEDGER_REDIS_URL", f"redis+cluster://u:{CANARY}@h1/1"),
        ("WORKER_LEDGER_REDIS_URL", f"sentinel://u:{CANARY}@h1:99999/1"),
        ("WORKER_LEDGER_REDIS_URL", f"sentinel://u:{CANARY}@h1,h 2/1"),
        ("WORKER_LEDGER_REDIS_URL", f"rediss://u:{CANARY}@h1/1?ssl_cert_reqs=maybe"),
        ("WORKER_LEDGER_REDIS_URL", "redis://u:password@h1/1"),
        ("WORKER_SWEEP_SECONDS", "60"),
        ("WORKER_MAX_RING_WAIT", "1"),
        ("CELERY_TASK_SOFT_TIME_LIMIT", "3600"),
        ("CELERY_POOL", "gevent"),
        ("CELERY_QUEUES_CALLBACK", f"a,,{CANARY}"),
        ("CELERY_QUEUES_CALLBACK", f"{CANARY},{CANARY}"),
        ("WORKER_ORGANIZATIONS", f"{CANARY}:*"),
        ("WEBHOOK_ALLOWED_NETWORKS", CANARY),
        ("WEBHOOK_ALLOWED_HOSTS", f"a.example,*.{CANARY}"),
        ("WEBHOOK_ALLOWED_HOSTS", f"{CANARY}:8080"),
        ("WEBHOOK_ALLOWED_HOSTS", "10.0.0.1"),
        ("WEBHOOK_SIGNING_SECRET", CANARY),
        ("WEBHOOK_SIGNING_SECRET", f"whsec_{CANARY}"),
        ("WEBHOOK_SIGNING_SECRET", "whsec_c2hvcnQ="),
        ("WEBHOOK_CA_FILE", f"/nowhere/{CANARY}"),
        ("RESCUE_UNSEEN_AFTER", CANARY),
        ("API_EXECUTION_DIR_PREFIX", CANARY),
        ("CHORD_COMPAT", "true"),
        ("LOG_LEVEL", CANARY),
    ],
)
def test_a_faulty_variable_is_named_and_its_value_is_not(variable: str, value: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load({variable: value})
    assert {fault.variable for fault in caught.value.faults} == {variable}
    reported = "".join(traceback.format_exception(caught.value))
    assert CANARY not in reported.replace("test_core", "")


_BROKER, _LEDGER, _BACKEND = "CELERY_BROKER_BASE_URL", "WORKER_LEDGER_REDIS_URL", "INTERNAL_API_BASE_URL"


@pytest.mark.parametrize(
    ("part", "urls"),
    [
        (
            "port must be a number",
            {_BROKER: "redis://h:x/0", _LEDGER: "sentinel://h,h:0/0", _BACKEND: "http://h:70000/internal"},
        ),
        (
            "brackets must be around an IPv6 address",
            {_BROKER: "amqp://[::1:5672//", _LEDGER: "redis://[h]:1/0", _BACKEND: "http://::1]:80/internal"},
        ),
        ("an IPv6 address must be in brackets", {_BROKER: "redis://::1/0", _LEDGER: "redis://2001:db8::1/0"}),
        (
            "scheme must be",
            {_BROKER: "broker:6379", _BACKEND: "backend:8000/internal", "OTEL_EXPORTER_OTLP_ENDPOINT": "otel:4318"},
        ),
        ("host is missing", {_BROKER: "amqp://u:p@:5672//", _LEDGER: "redis:///0", _BACKEND: "http:///internal"}),
        ("host must be a name or an address", {_LEDGER: "redis://h!/0"}),
        ("database number must be digits", {_BROKER: "sentinel://h/x", _LEDGER: "redis://h/zero"}),
        ("option timeout ", {_BROKER: "redis://h/0?timeout=1", _LEDGER: "redis://h/0?timeout=1"}),
        ("option master must be one of", {_LEDGER: "sentinel://h/0?master=a&master=b"}),
        ("option ssl_cert_reqs must be", {_LEDGER: "rediss://h/0?ssl_cert_reqs=maybe"}),
        ("must have no query", {_BACKEND: "http://h/internal?x=1"}),
        ("must have no user or password", {_BACKEND: f"http://u:{CANARY}@h/internal"}),
        (
            "user or password has a / ? or # that is not percent-encoded",
            {_BROKER: f"amqp://u:{CANARY}/x@h:5672//", _LEDGER: f"redis://u:{CANARY}#x@h/0"},
        ),
        ("user or password has a bracket", {_BROKER: f"redis://u:[{CANARY}@h/0", _LEDGER: f"redis://u:{CANARY}]@h/0"}),
    ],
)
def test_the_part_of_a_url_that_is_wrong_is_named(part: str, urls: dict[str, str]) -> None:
    found = faults(urls)
    assert found.keys() == urls.keys()
    for problem in found.values():
        assert part in problem
        assert CANARY not in problem


def test_of_several_brokers_the_faulty_url_is_named_by_its_number() -> None:
    problem = faults({_BROKER: "amqp://u:p@a;amqp://u:p@b:x;amqp://u:p@c"})[_BROKER]
    assert problem == "port must be a number from 1 to 65535 (URL 2 of 3)"


@settings(deadline=None)
@given(st.sampled_from(sorted(GOOD)), st.text(st.characters(blacklist_characters="\0"), max_size=30))
def test_whatever_is_set_either_loads_or_is_a_named_fault(variable: str, value: str) -> None:
    named: set[str] = set()
    try:
        load({variable: value})
    except ConfigurationError as error:
        named = {fault.variable for fault in error.faults}
    assert named == {variable} or (not named and value.strip() == value != "")


def test_a_secret_can_come_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("from-the-file\n")
    environ = {name: value for name, value in GOOD.items() if name != "INTERNAL_SERVICE_API_KEY"}
    settings = load_settings(environ | {"INTERNAL_SERVICE_API_KEY_FILE": str(file)}, worker=WorkerType.GENERAL)
    assert settings.backend.api_key.reveal() == "from-the-file"


def test_faulty_secret_files(tmp_path: Path) -> None:
    for name, content in (("empty", b"\n"), ("long", b"x" * 70000), ("bytes", b"\xff\xfe"), ("lead", b" x")):
        (tmp_path / name).write_bytes(content)

    def problem(variable: str, file: str) -> str:
        return faults({variable: str(tmp_path / file)})[variable]

    both = problem("INTERNAL_SERVICE_API_KEY_FILE", "lead")
    assert both == "is set while INTERNAL_SERVICE_API_KEY is set as well; keep one of them"
    assert problem("REDIS_PASSWORD_FILE", "missing") == "names a file that cannot be read (FileNotFoundError)"
    assert problem("REDIS_PASSWORD_FILE", "bytes") == "names a file that cannot be read (UnicodeDecodeError)"
    assert problem("REDIS_PASSWORD_FILE", "empty") == "names a file that is empty"
    assert problem("REDIS_PASSWORD_FILE", "long") == "names a file that is too long"
    assert problem("REDIS_PASSWORD_FILE", "lead") == "has leading or trailing whitespace"


def test_an_unreadable_file_of_a_required_secret_is_one_fault() -> None:
    environ = {name: value for name, value in GOOD.items() if name != "INTERNAL_SERVICE_API_KEY"}
    with pytest.raises(ConfigurationError) as caught:
        load_settings(environ | {"INTERNAL_SERVICE_API_KEY_FILE": "/nowhere"}, worker=WorkerType.GENERAL)
    assert [fault.variable for fault in caught.value.faults] == ["INTERNAL_SERVICE_API_KEY_FILE"]


def test_development_has_defaults_of_its_own() -> None:
    broker = {"CELERY_BROKER_BASE_URL": "redis://localhost"}
    settings = load_settings(broker, worker=WorkerType.GENERAL, development=True)
    assert settings.backend.api_key.reveal() == "dev-internal-key-123"
    assert settings.logging.format == "console"
    assert settings.process.health_host == "127.0.0.1"
    assert settings.warnings == ("INTERNAL_SERVICE_API_KEY is the development key",)


@pytest.mark.parametrize(("written", "host"), [("[::]", "::"), ("[::1]", "::1"), ("fe80::1%eth0", "fe80::1%eth0")])
def test_the_host_to_listen_on_may_have_the_brackets_of_a_url(written: str, host: str) -> None:
    settings = load_settings(GOOD | {"WORKER_HEALTH_HOST": written}, worker=WorkerType.GENERAL)
    assert settings.process.health_host == host


def test_the_worker_type_s_own_setting_wins() -> None:
    more = {
        "CALLBACK_TASK_TIME_LIMIT": "4000",
        "CELERY_TASK_TIME_LIMIT": "5000",
        "GENERAL_TASK_TIME_LIMIT": "6000",
        "WORKER_CALLBACK_CONCURRENCY": "7",
        "CELERY_CONCURRENCY": "8",
        "CELERY_LOG_LEVEL": "debug",
        "LOG_LEVEL": "ERROR",
        "CELERY_QUEUES_CALLBACK": "one, two",
        "CALLBACK_POOL_TYPE": "",
        "CELERY_POOL": "prefork",
    }
    settings = load(more)
    assert settings.process.time_limit == 4000
    assert settings.process.concurrency == 7
    assert settings.process.queues == ("one", "two")
    assert settings.process.pool == "prefork"
    assert settings.logging.level == "DEBUG"
    assert load({"CELERY_POOL": "prefork"}).process.concurrency == 4
    assert load(worker=WorkerType.FILE_PROCESSING).process.time_limit == 7200


@pytest.mark.parametrize(
    ("base", "user", "password", "expected"),
    [
        ("amqp://rabbit:5672//", "me", "p@ss/;word", "amqp://me:p%40ss%2F%3Bword@rabbit:5672//"),
        ("redis://broker/1", "", "x y", "redis://:x%20y@broker/1"),
        ("sentinel://a:1/0;sentinel://b:2/0", "u", "p", "sentinel://u:p@a:1/0;sentinel://u:p@b:2/0"),
        ("amqps://u:p@rabbit/vhost", "", "", "amqps://u:p@rabbit/vhost"),
    ],
)
def test_broker_credentials_are_put_into_the_url(base: str, user: str, password: str, expected: str) -> None:
    more = {"CELERY_BROKER_BASE_URL": base, "CELERY_BROKER_USER": user, "CELERY_BROKER_PASS": password}
    settings = load(more)
    assert settings.broker.url.reveal() == expected
    assert settings.broker.is_redis is not base.startswith("amqp")


@pytest.mark.parametrize(
    ("base", "more"),
    [
        ("redis://broker", {"CELERY_BROKER_USER": "u"}),
        ("amqp://broker", {"CELERY_BROKER_PASS": "p"}),
        ("amqp://a:b@broker", {"CELERY_BROKER_USER": "u", "CELERY_BROKER_PASS": "p"}),
    ],
)
def test_half_or_double_broker_credentials_are_refused(base: str, more: dict[str, str]) -> None:
    assert list(faults({"CELERY_BROKER_BASE_URL": base, **more})) == ["CELERY_BROKER_BASE_URL"]


@pytest.mark.parametrize(
    ("base", "option"),
    [
        ("rediss://broker?ssl_cert_reqs=none", "ssl_cert_reqs"),
        ("rediss://broker?ssl_cert_reqs=CERT_NONE", "ssl_cert_reqs"),
        ("rediss://broker?ssl_cert_reqs=optional", "ssl_cert_reqs"),
        ("rediss://broker?ssl_cert_reqs=", "ssl_cert_reqs"),
        ("rediss://broker?ssl_cert_reqs=required&ssl_cert_reqs=none", "ssl_cert_reqs"),
        ("rediss://broker?ssl%5Fcert%5Freqs=none", "ssl_cert_reqs"),
        ("rediss://broker?ssl_check_hostname=false", "ssl_check_hostname"),
        ("rediss://broker?ssl_ciphers=NULL", "ssl_ciphers"),
        ("rediss://a;rediss://b?ssl_cert_reqs=none", "ssl_cert_reqs"),
        ("rediss://broker/0?socket_timeout=1", "socket_timeout"),
        ("redis://broker?ssl_cert_reqs=required", "ssl_cert_reqs"),
        ("redis://broker?virtual_host=3", "virtual_host"),
        ("sentinel://broker?master_name=x", "master_name"),
        ("amqps://broker//?verify=verify_none", "verify"),
        ("amqps://broker//?ssl=0", "ssl"),
        ("amqp://broker//?heartbeat=0", "heartbeat"),
    ],
)
def test_options_in_the_brokers_url_are_refused_by_name(base: str, option: str) -> None:
    problem = faults({"CELERY_BROKER_BASE_URL": base})["CELERY_BROKER_BASE_URL"]
    assert problem.startswith(f"option {option} ")


@pytest.mark.parametrize("value", ["required", "CERT_REQUIRED", "cert_required"])
def test_an_option_that_says_what_holds_anyway_leaves_the_authority_in_force(value: str, tmp_path: Path) -> None:
    (authority := tmp_path / "ca.pem").touch()
    base = f"rediss://broker:6380/1?ssl_cert_reqs={value}&ssl_check_hostname=true"
    broker = load({"CELERY_BROKER_BASE_URL": base, "CELERY_BROKER_SSL_CA_CERTS": str(authority)}).broker
    assert (broker.url.reveal(), broker.ca_file) == ("rediss://broker:6380/1", str(authority))


def test_files_named_in_the_brokers_url_are_those_of_the_variables(tmp_path: Path) -> None:
    for name in ("ca", "cert", "key"):
        (tmp_path / name).touch()
    options = f"ssl_ca_certs={tmp_path}/ca&ssl_certfile={tmp_path}/cert&ssl_keyfile={tmp_path}/key"
    broker = load({"CELERY_BROKER_BASE_URL": f"rediss://broker?{options}"}).broker
    assert broker.url.reveal() == "rediss://broker"
    assert [broker.ca_file, broker.cert_file, broker.key_file] == [
        f"{tmp_path}/{name}" for name in ("ca", "cert", "key")
    ]
    other = {"CELERY_BROKER_BASE_URL": f"rediss://broker?{options}", "CELERY_BROKER_SSL_CA_CERTS": f"{tmp_path}/key"}
    assert faults(other)["CELERY_BROKER_BASE_URL"].startswith("option ssl_ca_certs: another file")


def test_a_scheme_is_the_same_in_any_case() -> None:
    assert load({"CELERY_BROKER_BASE_URL": "REDISS://broker"}).broker.scheme == "rediss"


def test_credentials_in_some_of_the_brokers_urls_only_are_refused() -> None:
    assert "some of its URLs" in faults({"CELERY_BROKER_BASE_URL": "amqp://u:p@a;amqp://b"})["CELERY_BROKER_BASE_URL"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("h", ("h", 1)),
        ("h.example:2", ("h.example", 2)),
        ("10.0.0.1:2", ("10.0.0.1", 2)),
        ("2001:db8::1", ("2001:db8::1", 1)),
        ("[2001:db8::1]", ("2001:db8::1", 1)),
        ("[2001:db8::1]:2", ("2001:db8::1", 2)),
        ("fe80::1%eth0", ("fe80::1%eth0", 1)),
    ],
)
def test_hosts_and_ports_are_read_and_written_in_one_way(text: str, expected: tuple[str, int]) -> None:
    assert split_host_port(text, 1) == expected
    assert split_host_port(join_host_port(*expected), 9) == expected


@pytest.mark.parametrize(
    "text", ["", "h:", "h:0", "h:65536", "h:1:2", "[::1", "::1]:2", "[h]:2", "h h", "-h", "a/b", "u@h"]
)
def test_what_is_no_host_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        split_host_port(text, 1)


def test_ipv6_in_every_place_of_a_server() -> None:
    settings = load(
        {
            "CELERY_BROKER_BASE_URL": "amqps://[2001:db8::1]:5671;amqps://[2001:db8::2]",
            "REDIS_HOST": "2001:db8::3",
            "CACHE_REDIS_HOST": "[2001:db8::4]:26380,2001:db8::5,s3:26381",
            "CACHE_REDIS_PORT": "26379",
            "CACHE_REDIS_SENTINEL_MODE": "true",
            "WORKER_LEDGER_REDIS_URL": "redis://[2001:db8::6]:6390/3",
        }
    )
    assert settings.broker.location == "amqps://[2001:db8::1]:5671;amqps://[2001:db8::2]"
    assert settings.platform_redis.location == "[2001:db8::3]:6379/0"
    assert settings.cache_redis.nodes == (("2001:db8::4", 26380), ("2001:db8::5", 26379), ("s3", 26381))
    assert settings.cache_redis.location.startswith("[2001:db8::4]:26380,[2001:db8::5]:26379,s3:26381/0")
    assert settings.ledger_redis.nodes == (("2001:db8::6", 6390),)
    assert settings.ledger_redis.location == "[2001:db8::6]:6390/3"
    assert load({"REDIS_HOST": "[::1]"}).platform_redis.nodes == (("::1", 6379),)
    sentinels = load({"WORKER_LEDGER_REDIS_URL": "sentinel://[2001:db8::7]:26380,[2001:db8::8]/1"}).ledger_redis
    assert sentinels.nodes == (("2001:db8::7", 26380), ("2001:db8::8", 26379))


def test_the_zone_of_a_link_local_address_is_taken_from_a_url() -> None:
    assert load({"WORKER_LEDGER_REDIS_URL": "redis://[fe80::1%25eth0]:6380/0"}).ledger_redis.nodes == (
        ("fe80::1%eth0", 6380),
    )
    sentinels = load({"WORKER_LEDGER_REDIS_URL": "sentinel://s1,[fe80::1%25eth0]:26380/0"}).ledger_redis
    assert sentinels.nodes == (("s1", 26379), ("fe80::1%eth0", 26380))


def test_a_host_with_its_port_is_refused_where_the_port_has_a_variable() -> None:
    assert faults({"REDIS_HOST": "redis:6379"})["REDIS_HOST"] == "must be a single host"


def test_client_certificates_and_passwords_of_sentinels(tmp_path: Path) -> None:
    for name in ("cert", "key", "password"):
        (tmp_path / name).write_text("sentinels-own")
    settings = load(
        {
            "CELERY_BROKER_BASE_URL": "sentinel://s1:26379",
            "CELERY_BROKER_SENTINEL_USERNAME": "asker",
            "CELERY_BROKER_SENTINEL_PASSWORD_FILE": str(tmp_path / "password"),
            "CELERY_BROKER_SSL_CERTFILE": str(tmp_path / "cert"),
            "CELERY_BROKER_SSL_KEYFILE": str(tmp_path / "key"),
            "REDIS_SSL": "true",
            "REDIS_SSL_CERTFILE": str(tmp_path / "cert"),
            "REDIS_SSL_KEYFILE": str(tmp_path / "key"),
            "WORKER_LEDGER_REDIS_URL": "sentinel://s1/1?sentinel_username=asker&sentinel_password=own%20one",
        }
    )
    broker = settings.broker
    assert (broker.sentinel_username, broker.sentinel_password) == ("asker", Secret("sentinels-own"))
    assert (broker.cert_file, broker.key_file) == (str(tmp_path / "cert"), str(tmp_path / "key"))
    platform = settings.platform_redis
    assert (platform.ssl_cert_file, platform.ssl_key_file) == (str(tmp_path / "cert"), str(tmp_path / "key"))
    assert settings.ledger_redis.sentinel_password == Secret("own one")
    assert {"sentinels-own", "own one"} <= set(settings.secrets())
    missing = {"REDIS_SSL_KEYFILE": "/none", "CELERY_BROKER_SSL_CERTFILE": "/none"}
    assert faults(missing).keys() == missing.keys()


def test_redis_roles() -> None:
    settings = load(
        {
            "REDIS_HOST": "platform",
            "REDIS_USER": "me",
            "REDIS_PASSWORD": "long-enough",
            "REDIS_DB": "2",
            "CACHE_REDIS_HOST": "s1:26380,s2",
            "CACHE_REDIS_PORT": "26379",
            "CACHE_REDIS_SENTINEL_MODE": "True",
            "WORKER_LEDGER_REDIS_URL": "rediss://u:p%40ss@ledger:6390/3?ssl_cert_reqs=optional",
        }
    )
    assert settings.platform_redis == RedisSettings(
        host="platform", db=2, username="me", password=Secret("long-enough")
    )
    assert settings.cache_redis.nodes == (("s1", 26380), ("s2", 26379))
    assert settings.cache_redis.location == "s1:26380,s2:26379/2 (sentinel, mymaster)"
    ledger = settings.ledger_redis
    assert (ledger.nodes, ledger.db, ledger.username, ledger.password, ledger.ssl) == (
        (("ledger", 6390),),
        3,
        "u",
        Secret("p@ss"),
        True,
    )
    assert ledger.location == "ledger:6390/3"
    assert settings.warnings == ("WORKER_LEDGER_REDIS_URL: the certificate of this Redis is not fully checked",)


def test_the_cache_is_the_platform_s_redis_unless_told_otherwise() -> None:
    assert load({"REDIS_HOST": "platform"}).cache_redis.host == "platform"
    one = {"REDIS_HOST": "platform", "REDIS_PASSWORD": "pw-of-the-platform", "REDIS_DB": "2", "REDIS_SSL": "true"}
    cache = load({**one, "CACHE_REDIS_DB": "5"}).cache_redis
    assert (cache.host, cache.db, cache.ssl) == ("platform", 5, True)
    assert cache.password == Secret("pw-of-the-platform")
    assert load({**one, "CACHE_REDIS_HOST": "cache"}).cache_redis.host == "cache"


@pytest.mark.parametrize(
    ("name", "warned"),
    [
        ("WORKER_LEASE_SECOND", "did you mean WORKER_LEASE_SECONDS?"),
        ("CELERY_BROKER_BASEURL", "did you mean CELERY_BROKER_BASE_URL?"),
        ("CALLBACK_HEALT_PORT", "did you mean CALLBACK_HEALTH_PORT?"),
        ("REDIS_PASWORD", "did you mean REDIS_PASSWORD?"),
        ("REDIS_HOSTS", "did you mean REDIS_HOST?"),
        ("CELERY_BROKER_ULR", "did you mean CELERY_BROKER_BASE_URL?"),
        ("CELREY_BROKER_BASE_URL", "did you mean CELERY_BROKER_BASE_URL?"),
        ("WORKR_SWEEP_SECONDS", "did you mean WORKER_SWEEP_SECONDS?"),
        ("RDIS_HOST", "did you mean REDIS_HOST?"),
        ("redis_host", "did you mean REDIS_HOST?"),
        ("WORKER-SWEEP-SECONDS", "did you mean WORKER_SWEEP_SECONDS?"),
        ("PLATFORM_SERVICE_HOTS", "did you mean PLATFORM_SERVICE_HOST?"),
        ("OTEL_EXPORTER_OTLP_ENDPIONT", "did you mean OTEL_EXPORTER_OTLP_ENDPOINT?"),
        ("WORKER_SOMETHING_ELSE", "is not known and has no effect"),
    ],
)
def test_a_misspelt_variable_is_warned_about(name: str, warned: str) -> None:
    (warning,) = load({name: CANARY}).warnings
    assert warning.startswith(f"{name} ")
    assert warning.endswith(warned)


@pytest.mark.parametrize(
    "name",
    [
        "REDIS_URL_OF_SOMEBODY",
        "LOGNAME",
        "GENERAL_HEALTH_PORT",
        "INTERNAL_SERVICE_API_KEY_FILE",
        "MAX_X",
        "PATH",
        "PLATFORM_SERVICE_API_KEY",
        "X2TEXT_HOST",
        "PROMPT_HOST",
        "REDIS_SERVICE_HOST",
        "REDIS_PORT_6379_TCP_ADDR",
        "DB_HOST",
    ],
)
def test_a_variable_of_another_program_or_worker_is_not(name: str, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("a-key")
    value = str(tmp_path / "key") if name.endswith("_FILE") else "8080"
    environ = {key: text for key, text in GOOD.items() if f"{key}_FILE" != name} | {name: value}
    assert load_settings(environ, worker=WorkerType.CALLBACK).warnings == ()


def test_a_ledger_behind_sentinels() -> None:
    ledger = load({"WORKER_LEDGER_REDIS_URL": "sentinel://:pw@s1:26380,s2/1?master=main"}).ledger_redis
    assert (ledger.sentinel, ledger.sentinel_master, ledger.db) == (True, "main", 1)
    assert ledger.nodes == (("s1", 26380), ("s2", 26379))
    assert ledger.username is None
    assert ledger.password == Secret("pw")


def test_faulty_sentinels_are_refused() -> None:
    more = {"REDIS_SENTINEL_MODE": "true", "REDIS_HOST": "a b,c"}
    assert list(faults(more)) == ["REDIS_HOST"]


def test_chords_need_a_result_backend() -> None:
    parts = {
        "CHORD_COMPAT": "true",
        "DB_HOST": "pg",
        "CELERY_BACKEND_DB_NAME": "db",
        "DB_USER": "me",
        "DB_PASSWORD": "p/w",
        "CELERY_BACKEND_DB_SCHEMA": "unstract",
    }
    backend = load(parts).chord.result_backend
    assert backend is not None
    assert backend.reveal() == "db+postgresql+psycopg2://me:p%2Fw@pg:5432/db?options=-csearch_path%3Dunstract"
    whole = load({"CHORD_COMPAT": "true", "CELERY_RESULT_BACKEND": "db+sqlite:///x"})
    assert whole.chord.result_backend == Secret("db+sqlite:///x")
    assert whole.warnings == ()
    assert load({"CHORD_COMPAT": "false", **{k: v for k, v in parts.items() if k != "CHORD_COMPAT"}}).chord == (
        load().chord
    )


def test_chord_variables_of_others_are_left_alone() -> None:
    settings = load({"DB_PORT": "not a port", "CELERY_RESULT_BACKEND": "x"})
    assert settings.warnings == ("CELERY_RESULT_BACKEND has no effect: results are kept only with CHORD_COMPAT",)


def test_what_has_no_effect_is_a_warning() -> None:
    warnings = load(
        {
            "CELERY_TASK_ACKS_LATE": "true",
            "CALLBACK_PREFETCH_MULTIPLIER": "4",
            "GENERAL_PREFETCH_MULTIPLIER": "4",
            "CELERY_TASK_SERIALIZER": "pickle",
            "WORKER_BARRIER_BACKEND": CANARY,
            "ENABLE_API_CLIENT_SINGLETON": "",
            "CALLBACK_METRICS_PORT": "1",
            "WORKER_TYPE": "file-processing",
        }
    ).warnings
    assert [warning.split()[0] for warning in warnings] == [
        "CELERY_TASK_ACKS_LATE",
        "CALLBACK_PREFETCH_MULTIPLIER",
        "CELERY_TASK_SERIALIZER",
        "WORKER_BARRIER_BACKEND",
        "CALLBACK_METRICS_PORT",
        "WORKER_TYPE",
    ]
    assert CANARY not in "".join(warnings)


def test_numbers_that_today_s_workers_clamp() -> None:
    files = load({"ACTIVE_FILE_CACHE_TTL": "5", "MAX_PARALLEL_FILE_BATCHES": "1000"}).files
    assert (files.active_file_ttl_seconds, files.max_parallel_batches) == (60, 100)


def test_derived_times_follow_unless_set() -> None:
    more = {"INTERNAL_API_TIMEOUT": "200", "WORKER_LEASE_SECONDS": "30", "FILE_EXECUTION_TIMEOUT": "100"}
    settings = load(more)
    assert settings.backend.total_timeout == 200
    assert settings.ledger.recheck_seconds == 230
    assert settings.process.stuck_slot_seconds == 330
    fixed = load({**more, "WORKER_RECHECK_SECONDS": "7", "WORKER_STUCK_SLOT_SECONDS": "8"})
    assert (fixed.ledger.recheck_seconds, fixed.process.stuck_slot_seconds) == (7, 8)


def test_rescue_is_refused_beside_other_workers() -> None:
    assert load({"RESCUE_UNSEEN_AFTER": "600"}).rescue_unseen_after == 600
    beside = {"RESCUE_UNSEEN_AFTER": "600", "WORKER_TRAFFIC_FORWARD_SUFFIX": "_today"}
    assert list(faults(beside | {"WORKER_TRAFFIC_PERCENT": "50"})) == ["RESCUE_UNSEEN_AFTER"]
    assert list(faults(beside | {"WORKER_TRAFFIC_ORGANIZATIONS": "a"})) == ["RESCUE_UNSEEN_AFTER"]


def test_a_share_needs_to_know_where_the_rest_goes() -> None:
    half = {"WORKER_TRAFFIC_PERCENT": "50"}
    assert list(faults(half)) == ["WORKER_TRAFFIC_FORWARD_SUFFIX"]
    assert list(faults(half | {"WORKER_TRAFFIC_FORWARD_SUFFIX": "no good"})) == ["WORKER_TRAFFIC_FORWARD_SUFFIX"]
    reported = half | {"WORKER_TRAFFIC_FORWARD_SUFFIX": "_today"}
    assert list(faults(reported | {"CELERY_QUEUES_CALLBACK": "a,a_today"})) == ["CELERY_QUEUES_CALLBACK"]
    assert load(reported | {"CELERY_QUEUES_CALLBACK": "a"}).traffic.forward_suffix == "_today"
    # With everything ours, what was left there is taken like any other queue.
    assert load({"CELERY_QUEUES_CALLBACK": "a,a_today", "WORKER_TRAFFIC_FORWARD_SUFFIX": "_today"}).traffic.whole


@settings(deadline=None)
@given(st.integers(0, 100), st.uuids())
def test_a_share_of_traffic_is_the_same_in_every_process(percent: int, execution: object) -> None:
    traffic = load(
        {
            "WORKER_TRAFFIC_PERCENT": str(percent),
            "WORKER_TRAFFIC_ORGANIZATIONS": "mine",
            "WORKER_TRAFFIC_FORWARD_SUFFIX": "_today",
        }
    ).traffic
    first = traffic.takes("other", str(execution))
    assert first is traffic.takes("other", str(execution))
    assert traffic.takes("mine", str(execution))
    assert first or percent < 100
    assert not first or percent > 0


def test_secrets_are_listed_for_redaction_and_shown_nowhere() -> None:
    settings = load(
        {
            "CELERY_BROKER_USER": "u",
            "CELERY_BROKER_PASS": "br@ker-pass",
            "CELERY_BROKER_BASE_URL": "amqp://h//",
            "REDIS_PASSWORD": "redis-pass",
            "INTERNAL_SERVICE_API_KEY": "a://[key",
        }
    )
    secrets = settings.secrets()
    assert {"a://[key", "br@ker-pass", "br%40ker-pass", "redis-pass"} < set(secrets)
    shown = f"{settings!r} {settings} {settings.backend.api_key} {settings.backend.api_key:>9}"
    assert not [secret for secret in secrets if secret in shown]


def test_the_location_of_a_broker_without_credentials_is_no_secret() -> None:
    url = "redis://h/0;redis://i/0"
    assert url not in load({"CELERY_BROKER_BASE_URL": url}).secrets()
    assert f"redis://:{CANARY}@h/0" in load({"CELERY_BROKER_BASE_URL": f"redis://:{CANARY}@h/0"}).secrets()


def test_a_secret_cannot_be_serialised() -> None:

    with pytest.raises(TypeError, match="never serialised"):
        pickle.dumps(Secret("x"))
    assert not Secret("")


def test_chords_without_their_extra_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tasks would run and their results go nowhere."""
    backend = {"CHORD_COMPAT": "true", "CELERY_RESULT_BACKEND": "db+postgresql://u:p@h/n"}
    assert load(backend).chord.enabled
    monkeypatch.setattr("unstract_worker_core.config.environment.find_spec", lambda name: None)
    assert "pip install 'unstract-worker-callback[chord]'" in faults(backend)["CHORD_COMPAT"]
    assert load({**backend, "CELERY_RESULT_BACKEND": "redis://h/0"}).chord.enabled


@pytest.mark.parametrize(
    ("url", "wrong"),
    [
        (CANARY, "is not a URL"),
        ("nonsense://", "scheme names no result backend of Celery"),
        (f"postgresql://u:{CANARY}@h/n", "scheme names no result backend of Celery"),
        (f"redis://u:{CANARY}@[::1:1/0", "brackets must be around an IPv6 address"),
        (f"redis://u:{CANARY}@h:0/0", "port must be a number"),
        (f"redis://u:{CANARY}@h/results", "database number must be digits"),
        (f"rediss://u:{CANARY}@h/0", "needs the option ssl_cert_reqs"),
        *(
            (f"rediss://u:{CANARY}@h/0?ssl_cert_reqs={word}", "option ssl_cert_reqs is refused")
            for word in ("none", "CERT_NONE", "optional", "")
        ),
        (f"rediss://u:{CANARY}@h/0?ssl_cert_reqs=required&ssl_check_hostname=no", "option ssl_check_hostname is refus"),
        (f"sentinel://u:{CANARY}@h/0", "sentinel:// cannot be a result backend"),
        (f"rpc://u:{CANARY}@h", "Celery cannot keep chords there"),
        (f"db+mysql://u:{CANARY}@h/n", "needs a driver that is not installed (MySQLdb)"),
        (f"db+postgresql+psycopg://u:{CANARY}@h/n", "needs a driver that is not installed (psycopg)"),
        (f"db+postgres://u:{CANARY}@h/n", "scheme names no database that SQLAlchemy knows"),
        (f"db+postgresql://u:{CANARY}@h:port/n", "port must be a number"),
        (f"db+postgresql://u:{CANARY}@[::1/n", "brackets must be around an IPv6 address"),
    ],
)
def test_a_result_backend_that_cannot_be_used_is_refused_where_chords_are_served(url: str, wrong: str) -> None:
    problem = faults({"CHORD_COMPAT": "true", "CELERY_RESULT_BACKEND": url})["CELERY_RESULT_BACKEND"]
    assert wrong in problem
    assert "; accepted are db+postgresql://" in problem
    assert CANARY not in problem
    assert load({"CELERY_RESULT_BACKEND": url}).chord.result_backend is None


@pytest.mark.parametrize(
    "url", ["rediss://:p@h/1?ssl_cert_reqs=required", "db+postgresql://u:p/w@h/n", "db+postgresql:///n?host=/run/pg"]
)
def test_a_result_backend_that_celery_takes_is_taken(url: str) -> None:
    assert load({"CHORD_COMPAT": "true", "CELERY_RESULT_BACKEND": url}).chord.enabled


def test_the_host_of_the_result_database_is_a_host() -> None:
    parts = {"CHORD_COMPAT": "true", "DB_NAME": "n", "DB_USER": "u", "DB_PASSWORD": "p"}
    assert faults({**parts, "DB_HOST": "pg:5432"}) == {"DB_HOST": "host must be a name or an address"}
    backend = load({**parts, "DB_HOST": "[2001:db8::1]"}).chord.result_backend
    assert backend == Secret("db+postgresql+psycopg2://u:p@[2001:db8::1]:5432/n")


STORE = '{"provider": "minio", "credentials": {"endpoint_url": "http://minio:9000", "key": "user", "secret": "canary-5f2c"}}'
PLATFORM = {
    "WORKER_FILE_EXECUTOR": "platform",
    "PLATFORM_SERVICE_HOST": "http://platform-service",
    "PLATFORM_SERVICE_PORT": "3001",
    "WORKFLOW_EXECUTION_DIR_PREFIX": "bucket/execution",
    "WORKFLOW_EXECUTION_FILE_STORAGE_CREDENTIALS": STORE,
    "API_FILE_STORAGE_CREDENTIALS": f"'{STORE}'",
}


def test_the_platform_executor_reads_its_stores_and_hides_their_secrets() -> None:
    settings = load(PLATFORM, worker=WorkerType.FILE_PROCESSING)

    store = settings.executor.files_store
    assert store == settings.executor.uploads_store
    assert store is not None
    assert (store.provider, store.options()["endpoint_url"]) == ("minio", "http://minio:9000")
    assert CANARY in settings.secrets()
    assert "http://minio:9000" not in settings.secrets()
    assert CANARY not in repr(settings)
    assert settings.warnings == ()


@pytest.mark.parametrize(
    "name", [name for name in PLATFORM if name not in ("WORKER_FILE_EXECUTOR", "PLATFORM_SERVICE_PORT")]
)
def test_the_platform_executor_needs_each_of_its_variables(name: str) -> None:
    assert name in faults(PLATFORM | {name: ""}, worker=WorkerType.FILE_PROCESSING)


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("canary-5f2c", "is not JSON"),
        ('["canary-5f2c"]', "must be a JSON object"),
        ('{"provider": "ftp", "credentials": {"secret": "canary-5f2c"}}', "provider must be one of azure"),
        ('{"provider": "s3", "credentials": "canary-5f2c"}', "must be a JSON object"),
        ('{"provider": "s3", "credentials": {"endpoint_url": "minio:9000"}}', "endpoint_url: scheme must be http://"),
        ('{"provider": "s3", "credentials": {"endpoint_url": "http://a:canary-5f2c"}}', "endpoint_url: port must be"),
    ],
)
def test_a_store_that_cannot_be_read_is_a_fault_without_its_value(value: str, problem: str) -> None:
    reported = faults(PLATFORM | {"API_FILE_STORAGE_CREDENTIALS": value}, worker=WorkerType.FILE_PROCESSING)

    assert problem in reported["API_FILE_STORAGE_CREDENTIALS"]
    assert CANARY not in str(reported)


def test_the_executors_variables_concern_file_processing_with_another_executor_alone() -> None:
    broken = PLATFORM | {"API_FILE_STORAGE_CREDENTIALS": "broken", "PLATFORM_SERVICE_PORT": "0"}

    assert load(broken).executor == load().executor
    assert (
        load(broken | {"WORKER_FILE_EXECUTOR": ""}, worker=WorkerType.FILE_PROCESSING).executor.result_timeout == 3600
    )


def test_a_stores_credentials_may_come_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "store").write_text(STORE)
    name = "API_FILE_STORAGE_CREDENTIALS"
    more = PLATFORM | {name: "", f"{name}_FILE": str(tmp_path / "store")}

    assert load(more, worker=WorkerType.FILE_PROCESSING).executor.uploads_store is not None
