"""Ids are checked where they enter, before they become a Redis key, a URL or a log field."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unstract_worker_core.errors import MessageError
from unstract_worker_core.identifiers import execution_id, opaque_id, organization_id

UUID_TEXT = "7d3f5a0c-2f0b-4a6f-b1b7-c8b9a0e1d2c3"

HOSTILE = [
    "", " ", "..", "../x", "a/b", "a\\b", "a b", "a\nb", "a\r\n", "a\n", "a\x00", "{a}", "a{b}", "*", "a*", "a?", "[a]",
    "a%2f", "a#b", "a@b", "\u0661", "\uff41", "a\u2028", "\ud800", "-a", "x" * 10_000, None, 5, 1.5, True, [], {}, b"a",
]  # fmt: skip


@pytest.mark.parametrize("value", HOSTILE)
def test_hostile_ids_are_refused_by_all(value: object) -> None:
    for check in (execution_id, organization_id, lambda value: opaque_id(value, field="task_id")):
        with pytest.raises(MessageError):
            check(value)


@pytest.mark.parametrize("value", [UUID(UUID_TEXT), UUID_TEXT, UUID_TEXT.upper(), UUID_TEXT.replace("-", "")], ids=str)
def test_every_spelling_of_a_uuid_becomes_the_canonical_one(value: object) -> None:
    assert execution_id(value) == UUID_TEXT


@pytest.mark.parametrize(
    "value",
    ["{" + UUID_TEXT + "}", "urn:uuid:" + UUID_TEXT, UUID_TEXT + " ", UUID_TEXT[:-1], "g" + UUID_TEXT[1:]],
)
def test_other_forms_of_a_uuid_are_refused(value: str) -> None:
    with pytest.raises(MessageError, match="workflow_id: not a UUID"):
        execution_id(value, field="workflow_id")


@given(st.uuids())
def test_every_uuid_passes(value: UUID) -> None:
    assert execution_id(value) == execution_id(str(value)) == execution_id(value.hex) == str(value)


@pytest.mark.parametrize("value", ["org_8QpLr2", "a", "A.b-c_d", "o" * 128])
def test_organizations_pass(value: str) -> None:
    assert organization_id(value) == value


def test_an_organization_that_is_too_long_is_refused() -> None:
    with pytest.raises(MessageError, match="org_schema"):
        organization_id("o" * 129, field="org_schema")


def test_digits_alone_are_refused_for_the_backend_reads_them_as_a_primary_key() -> None:
    with pytest.raises(MessageError, match="organization_id"):
        organization_id("777001")


@pytest.mark.parametrize("value", ["webhook.3f1c", UUID_TEXT, "name|uuid", "a:b", UUID(UUID_TEXT)])
def test_opaque_ids_pass(value: object) -> None:
    assert opaque_id(value, field="task_id") == str(value)


@given(st.text())
def test_what_passes_is_safe_in_a_key_a_url_and_a_log_line(value: str) -> None:
    for check in (organization_id, lambda value: opaque_id(value, field="x")):
        try:
            found = check(value)
        except MessageError:
            continue
        assert found.isascii()
        assert found.isprintable()
        assert not set(found) & set("{}*?[]/\\ %#@\"'")
