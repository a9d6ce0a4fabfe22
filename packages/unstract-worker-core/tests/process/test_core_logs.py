"""One pipeline for all loggers: one line a record, ids bound, secrets kept out."""

import io
import json
import logging
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from uuid import UUID

import pytest
import structlog
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from unstract_worker_core.config import LoggingSettings
from unstract_worker_core.errors import ConfigurationError
from unstract_worker_core.observability.logs import Redactor, bind_task, configure_logging, get_logger

CANARY = "canary-9d41/x"


@pytest.fixture(autouse=True)
def restored_logging() -> Iterator[None]:
    root = logging.getLogger()
    before = (root.handlers[:], root.level, sys.excepthook, threading.excepthook)
    formatted = warnings.formatwarning
    yield
    for handler in root.handlers[:]:
        if handler not in before[0]:
            root.removeHandler(handler)
            handler.close()
    root.handlers[:], sys.excepthook, threading.excepthook = before[0], before[2], before[3]
    root.setLevel(before[1])
    logging.captureWarnings(False)
    warnings.formatwarning = formatted
    structlog.reset_defaults()  # or the tests after these log by what these configured


class Log:
    """JSON logging as configured in a test, and the records since."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def configure(self) -> None:
        configure_logging(LoggingSettings(), secrets=(CANARY, "short"))

    def records(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in self._capsys.readouterr().err.splitlines()]


@pytest.fixture
def log(capsys: pytest.CaptureFixture[str]) -> Log:
    return Log(capsys)


def test_a_warning_of_several_lines_is_one_sentence(log: Log) -> None:
    log.configure()
    warnings.warn("superuser privileges: this is\nabsolutely not recommended!\n\nuid=0\n", RuntimeWarning, stacklevel=1)
    (record,) = log.records()
    assert str(record["event"]).startswith(
        "RuntimeWarning: superuser privileges: this is absolutely not recommended! uid=0 ("
    )
    assert "\n" not in str(record["event"])


def test_structlog_and_the_standard_library_end_in_one_form(log: Log) -> None:
    log.configure()
    get_logger("unstract_worker_core.x").info("batch claimed", files=3)
    logging.getLogger("celery.worker").warning("lost %s of %d", "one", 2)
    first, second = log.records()
    assert (first["event"], first["files"], first["level"]) == ("batch claimed", 3, "info")
    assert (second["event"], second["logger"], second["level"]) == (
        "lost one of 2",
        "celery.worker",
        "warning",
    )
    assert set(second) == {"event", "logger", "level", "timestamp"}


def test_ids_are_on_every_record_inside(log: Log) -> None:
    log.configure()
    with bind_task(task="unstract_worker.process_batch", execution_id="e1", organization_id="org"):
        with bind_task(file_execution_id="f1", batch_id=None):
            logging.getLogger("kombu").error("inside")
        get_logger("x").info("after")
    get_logger("x").info("outside")
    inside, after, outside = log.records()
    assert (inside["execution_id"], inside["file_execution_id"]) == ("e1", "f1")
    assert "batch_id" not in inside
    assert after["organization_id"] == "org"
    assert "file_execution_id" not in after
    assert "execution_id" not in outside


def test_chatter_is_left_out_below_debug(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(LoggingSettings(level="INFO"))
    logging.getLogger("httpx").info("GET /x")
    logging.getLogger("httpcore.connection").debug("x")
    assert capsys.readouterr().err == ""
    configure_logging(LoggingSettings(level="DEBUG"))
    logging.getLogger("kombu").debug("headers=[(b'Authorization', b'Bearer %s')]", CANARY)
    line = capsys.readouterr().err
    assert json.loads(line)["level"] == "debug"
    assert CANARY not in line


def test_libraries_that_log_whole_urls_stay_quiet_even_at_debug(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(LoggingSettings(level="DEBUG"))
    logging.getLogger("httpx").info("HTTP Request: POST https://hooks.example.test/services/T0/B0/token")
    logging.getLogger("httpcore.connection").debug("connect")
    logging.getLogger("celery.pool").debug("TaskPool: Apply %s (args:%s kwargs:%s)", "run", ["https://hooks/token"], {})
    assert capsys.readouterr().err == ""


def test_exceptions_are_one_line_without_secrets(log: Log) -> None:
    log.configure()
    for logger in (logging.getLogger("celery"), get_logger("x")):
        try:
            raise RuntimeError(f"cannot reach redis://user:pw@host with {CANARY}\npassword=hunter22")
        except RuntimeError:
            logger.exception("failed")
    for record in log.records():
        text = str(record["exception"])
        assert "RuntimeError: cannot reach redis://***@host" in text
        assert not [secret for secret in (CANARY, "user:pw", "hunter22") if secret in text]


@pytest.mark.parametrize(
    "text",
    [
        f"value {CANARY}",
        "value canary-9d41%2Fx",
        "amqp://me:canary-9d41@host//",
        "redis://:p@canary-9d41@host/0",
        "Authorization: Bearer canary-9d41",
        "authorization: Basic canary-9d41 more",
        "{'X-API-Key': 'canary-9d41'}",
        '{"connector_metadata": "canary-9d41"}',
        "[(b'x-api-key', b'canary-9d41')]",
        "https://host/?access_token=canary-9d41&x=1",
        "Settings(password='canary-9d41')",
        "api_key = canary-9d41",
        "Cookie: a=b; session=canary-9d41",
        "private-key: canary-9d41",
    ],
)
def test_patterns_of_secrets(text: str) -> None:
    assert "canary" not in Redactor([CANARY]).text(text)


@pytest.mark.parametrize("written", [str.lower, str.upper, str.title, lambda word: word.replace("s", "\u017f")])
@pytest.mark.parametrize(
    "word",
    [
        "authorization", "api_key", "api-key", "apikey", "passwd", "password", "secret", "cookie", "credential",
        "connector_metadata", "connectormetadata", "private-key", "access_key", "access_token", "auth-token",
        "refreshtoken", "bearer_token", "session_token", "token",
    ],
)  # fmt: skip
def test_every_name_of_a_secret_however_it_is_written(word: str, written: Callable[[str], str]) -> None:
    assert "canary" not in Redactor().text(f"{written(word)}=canary-9d41")


@pytest.mark.parametrize(
    "text",
    [
        "prompt_tokens=5, total_tokens: 7",
        "INTERNAL_SERVICE_API_KEY: is required; REDIS_PASSWORD: is a well-known default; set another",
        "POST http://backend:8000/internal/v1/webhook/ took 3 s",
        "short words are left alone",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert Redactor(["short"]).text(text) == text


def test_keys_of_secrets_at_any_depth() -> None:
    class Holder:
        def __repr__(self) -> str:
            return "Holder(api_key='canary')"

    event = {
        "password": "canary",
        "headers": {"Cookie": "canary", "Accept": "x"},
        "list": [{"credentials": {"a": "canary"}}, ("token=canary",), b"secret: canary"],
        "object": Holder(),
        "id": UUID(int=1),
        "cost": Decimal("1.5"),
        "nan": float("nan"),
        "deep": {"1": {"2": {"3": {"4": {"5": {"6": {"7": 8}}}}}}},
        "count": 3,
    }
    clean = Redactor()(None, "", event)
    assert "canary" not in repr(clean)
    assert clean["headers"] == {"Cookie": "***", "Accept": "x"}
    assert (clean["id"], clean["cost"], clean["nan"], clean["count"]) == (str(UUID(int=1)), "1.5", "nan", 3)


def test_long_texts_are_cut() -> None:
    assert len(Redactor().text("x" * 10**6)) < 17000


@given(st.text(max_size=60), st.text(max_size=60))
def test_a_known_secret_never_comes_through(before: str, after: str) -> None:
    assert CANARY not in Redactor([CANARY]).text(before + CANARY + after)


PIECES = (
    "password",
    "token",
    "a token",
    "=",
    ": ",
    "x y",
    "\n",
    "'",
    '"',
    "http://",
    "u:p@h",
    "Bearer ",
    CANARY,
    "plain",
    "ü",
)
VALUES = st.lists(st.sampled_from(PIECES), max_size=5).map("".join) | st.floats() | st.none() | st.integers()


@given(st.dictionaries(st.sampled_from(("event", "api_key", "reason", "seconds")), VALUES))
def test_what_is_seen_through_at_one_look_is_what_each_value_would_be(event: dict[str, object]) -> None:
    redactor = Redactor([CANARY])
    one_by_one = {key: redactor.value({key: value})[key] for key, value in event.items()}
    assert redactor(None, "info", dict(event)) == one_by_one


HOSTILE = "a\nb\r\x1b[31m\u2028\u0085c"


@pytest.mark.parametrize("form", ["json", "console"])
@given(
    st.text(max_size=60),
    st.dictionaries(st.from_regex("[a-z_]{1,10}", fullmatch=True), st.text(max_size=30), max_size=3),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_value_breaks_its_line(form: str, event: str, fields: dict[str, str]) -> None:
    stream = io.StringIO()
    configure_logging(LoggingSettings(format=form))
    (handler,) = [found for found in logging.getLogger().handlers if isinstance(found, logging.StreamHandler)]
    handler.setStream(stream)
    for text in (event, event + HOSTILE):
        get_logger("x").info("begins", text=text, **{f"field_{name}": value for name, value in fields.items()})
        logging.getLogger("x").info("%s", text)
    assert len(stream.getvalue().splitlines()) == 4


def test_the_console_form(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(LoggingSettings(format="console"))
    try:
        raise ValueError("first\nsecond\x1b[31m")
    except ValueError:
        get_logger("x").exception("batch\nfailed", name="a\rb", stack_info=True)
    lines = capsys.readouterr().err.splitlines()
    assert "batch\\nfailed" in lines[0]
    assert lines[0].endswith("[x] name=a\\rb")
    assert all(line.startswith("    ") or not line.strip("=") for line in lines[1:])
    assert any("second\\x1b[31m" in line for line in lines)


def test_a_record_that_cannot_be_formatted_is_named_only(log: Log) -> None:
    log.configure()
    logging.getLogger("x").error("%d files", CANARY)
    assert log.records() == [{"event": "log record lost", "logger": "x"}]


def test_uncaught_errors_go_the_same_way(log: Log) -> None:
    log.configure()

    def fail() -> None:
        raise RuntimeError(CANARY)

    thread = threading.Thread(target=fail)
    thread.start()
    thread.join()
    sys.excepthook(KeyboardInterrupt, KeyboardInterrupt(), None)
    (record,) = log.records()
    assert (record["event"], record["level"]) == ("uncaught error", "critical")
    assert CANARY not in str(record)


def test_a_file_receives_the_log_as_well(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(LoggingSettings(file=str(tmp_path / "log")))
    get_logger("x").info("one")
    configure_logging(LoggingSettings())
    get_logger("x").info("two")
    assert [json.loads(line)["event"] for line in (tmp_path / "log").read_text().splitlines()] == ["one"]
    assert len(capsys.readouterr().err.splitlines()) == 2


def test_a_file_that_cannot_be_opened_is_a_fault(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"LOG_FILE: cannot be opened for writing \(IsADirectoryError\)"):
        configure_logging(LoggingSettings(file=str(tmp_path)))
