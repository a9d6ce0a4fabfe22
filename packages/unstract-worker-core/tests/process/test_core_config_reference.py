"""The reference of variables agrees with what is read, and `.env` files are read for development."""

from pathlib import Path

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unstract_worker_core.config import Settings, read_dotenv
from unstract_worker_core.config.declarations import declarations
from unstract_worker_core.config.obsolete import ACCEPTED_WITHOUT_EFFECT
from unstract_worker_core.config.reference import describe_variables, environment_page
from unstract_worker_core.config.urls import BrokerSource, ChordSource
from unstract_worker_core.errors import ConfigurationError

PACKAGE = Path(__file__).parents[2]


def test_the_page_is_what_the_table_says() -> None:
    assert (PACKAGE / "ENVIRONMENT.md").read_text() == environment_page(), (
        "write environment_page() to ENVIRONMENT.md again"
    )


def test_no_variable_is_declared_twice() -> None:
    names = [name for entry in describe_variables() for name in (entry.name, *entry.alternatives)]
    names += [name for ignored in ACCEPTED_WITHOUT_EFFECT for name in ignored.names]
    assert sorted(names) == sorted(set(names))


def test_every_field_of_a_section_has_a_variable() -> None:
    sections = {attribute.type for attribute in attrs.fields(Settings) if attrs.has(attribute.type)}
    declared = [section for section in sections if declarations(section)]
    assert len(declared) == 10
    for section in declared:
        assert [attribute.name for attribute, _ in declarations(section)] == [one.name for one in attrs.fields(section)]


def test_every_declared_variable_is_in_the_reference() -> None:
    names = {name for entry in describe_variables() for name in (entry.name, *entry.alternatives)}
    declared = [
        *attrs.fields(Settings),
        *(field for kind in (BrokerSource, ChordSource) for field in attrs.fields(kind)),
    ]
    sections = {attribute.type for attribute in attrs.fields(Settings) if attrs.has(attribute.type)}
    declared += [field for section in sections for field in attrs.fields(section)]
    for field in declared:
        for name in field.metadata["env"].names if "env" in field.metadata else ():
            assert name.replace("{PREFIX}", "REDIS_") in names


def test_what_holds_credentials_is_marked_secret() -> None:
    secret = {entry.name for entry in describe_variables() if entry.secret}
    assert {"INTERNAL_SERVICE_API_KEY", "CELERY_BROKER_BASE_URL", "WORKER_LEDGER_REDIS_URL"} < secret
    assert "WEBHOOK_SIGNING_SECRET" in secret
    assert {entry.name for entry in describe_variables() if "PASS" in entry.name} < secret


def test_defaults_are_described() -> None:
    described = {entry.name: entry.default for entry in describe_variables()}
    assert described["INTERNAL_API_TIMEOUT"] == "30"
    assert described["{TYPE}_TASK_TIME_LIMIT"] == "3600, file_processing 7200"
    assert described["WORKER_HEALTH_HOST"] == "0.0.0.0; in development 127.0.0.1"
    assert described["REDIS_SSL"] == "false"
    assert described["REDIS_PASSWORD"] == ""
    assert described["WEBHOOK_ALLOWED_PORTS"] == "80,443,8080,8443"


def test_a_dotenv_file(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text(
        "# a comment\n\nPLAIN=one\nexport QUOTED = \"two # words\"\nSINGLE='$three'\nEMPTY=\nNOTE=four # five\n"
    )
    assert read_dotenv(file) == {
        "PLAIN": "one",
        "QUOTED": "two # words",
        "SINGLE": "$three",
        "EMPTY": "",
        "NOTE": "four",
    }
    assert read_dotenv(tmp_path / "missing") == {}


def test_faulty_lines_of_a_dotenv_file_are_named_by_number(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("GOOD=1\nsecret words\n9X=secret\n")
    with pytest.raises(ConfigurationError) as caught:
        read_dotenv(file)
    assert str(caught.value) == ".env line 2: is not NAME=value; .env line 3: is not NAME=value"


@settings(deadline=None)  # a busy machine is no failure
@given(value=st.text(st.characters(categories=["L", "N", "P", "S", "Zs"], exclude_characters='"'), max_size=30))
def test_what_is_quoted_comes_back(value: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    file = tmp_path_factory.mktemp("env") / ".env"
    file.write_text(f'NAME="{value}"\n', encoding="utf-8")
    assert read_dotenv(file) == {"NAME": value}
