from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st

from unstract_worker_core import serialization
from unstract_worker_core.ledger import FileItem

PART = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), max_size=12)
ITEMS = st.builds(
    FileItem, number=st.integers(1, 9), name=PART, path=PART, hash=PART, provider_file_uuid=st.none() | PART
)


def place(item):
    return item.hash, item.path, item.provider_file_uuid or ""


@settings(deadline=None)
@given(ITEMS, st.integers(1, 99))
def test_a_file_that_is_listed_at_another_place_keeps_its_identity(item, number):
    assert evolve(item, number=number, name="other", size=7).identity == item.identity


@settings(deadline=None)
@given(ITEMS, ITEMS)
def test_another_file_at_the_same_place_of_the_list_has_another(first, second):
    second = evolve(second, number=first.number)

    assert (first.identity == second.identity) == (place(first) == place(second))


def test_a_name_that_is_no_text_has_one():
    assert len(FileItem(1, "a", "folder/\udcff.txt").identity) == 16


def test_texts_that_items_have_in_common_are_kept_once():
    text = serialization.encode(FileItem(1, "a", "a", mime_type="application/pdf", source_connection_type="FILESYSTEM"))
    first, second = (serialization.decode(text, FileItem) for _ in range(2))

    assert first.mime_type is second.mime_type
    assert first.source_connection_type is second.source_connection_type
