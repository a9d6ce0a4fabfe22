"""Grouping equal uploads and dealing batches."""

from hypothesis import given, settings
from hypothesis import strategies as st

from unstract_worker_core.ledger import FileItem
from unstract_worker_core.runs.start import deduplicate, mark_executed, split

FILES = st.lists(st.sampled_from(["", "h1", "h2", "h3", "temp-hash-1"]), max_size=12).map(
    lambda hashes: tuple(
        FileItem(number, f"{number}.txt", f"p/{number}.txt", hash=each, is_executed=each.startswith("temp-hash-"))
        for number, each in enumerate(hashes, start=1)
    )
)


@settings(deadline=None)
@given(FILES)
def test_no_upload_is_lost_or_doubled_by_grouping(files):
    items = deduplicate(files)
    assert sorted(name for item in items for name in (item.name, *item.copies)) == sorted(each.name for each in files)
    assert sum(item.uploads for item in items) == len(files)
    hashes = [item.hash for item in items if item.hash and not item.unsupported]
    assert len(hashes) == len(set(hashes))
    assert [item.number for item in items] == sorted(item.number for item in items)


def test_the_first_upload_keeps_its_number_and_the_others_are_its_copies():
    files = [FileItem(n, f"{n}", f"{n}", hash=h) for n, h in enumerate(["x", "y", "x", "x"], start=1)]
    assert [(item.number, item.copies) for item in deduplicate(files)] == [(1, ("3", "4")), (2, ())]


def test_refused_types_and_files_without_a_hash_stay_alone():
    refused = [FileItem(n, f"{n}", f"{n}", hash="temp-hash-1", is_executed=True) for n in (1, 2)]
    nameless = [FileItem(n, f"{n}", f"{n}") for n in (3, 4)]
    assert len(deduplicate(refused + nameless)) == 4


@settings(deadline=None)
@given(st.integers(0, 300), st.integers(-3, 500))
def test_every_item_is_dealt_once_and_evenly(count, limit):
    items = [FileItem(n, f"{n}", f"{n}") for n in range(1, count + 1)]
    batches = split(items, limit)
    assert len(batches) == min(max(1, limit), 100, count)
    assert sorted(item.number for batch in batches for item in batch) == list(range(1, count + 1))
    sizes = {len(batch) for batch in batches}
    assert not sizes or max(sizes) - min(sizes) <= 1


def test_items_are_dealt_round_robin_in_order():
    items = [FileItem(n, f"{n}", f"{n}") for n in range(1, 6)]
    assert [[item.number for item in batch] for batch in split(items, 2)] == [[1, 3, 5], [2, 4]]


def test_only_completed_contents_are_marked():
    items = [FileItem(1, "a", "a", hash="old"), FileItem(2, "b", "b", hash="new"), FileItem(3, "c", "c")]
    assert [item.is_executed for item in mark_executed(items, {"old"})] == [True, False, False]
