"""Which files of a batch got which rows of its answer."""

from unstract_worker_core.backend.files import FileExecution
from unstract_worker_core.ledger import FileItem
from unstract_worker_core.runs.rows import match_created

ITEMS = tuple(FileItem(number, f"{number}.txt", f"in/{number}.txt") for number in (1, 2, 3))


def row(number: int, path: str | None = None) -> FileExecution:
    return FileExecution(f"row-{number}", f"{number}.txt", path)


def test_rows_are_told_in_the_files_order_with_or_without_their_paths() -> None:
    rows = {1: "row-1", 2: "row-2", 3: "row-3"}
    assert match_created(ITEMS, [row(number) for number in rows]) == rows
    assert match_created(ITEMS, [row(number, f"in/{number}.txt") for number in rows]) == rows


def test_a_file_that_failed_leaves_the_rows_of_its_neighbours_to_them() -> None:
    assert match_created(ITEMS, [row(1), row(3)]) == {1: "row-1", 3: "row-3"}


def test_a_row_of_another_file_or_path_is_nobodys() -> None:
    assert match_created(ITEMS, [row(7), row(1)]) == {}
    assert match_created(ITEMS, [row(1, "elsewhere/1.txt")]) == {}


def test_of_two_files_with_one_name_each_gets_its_own() -> None:
    items = (FileItem(1, "a.txt", "x/a.txt"), FileItem(2, "a.txt", "y/a.txt"))
    assert match_created(items, [FileExecution("row-y", "a.txt", "y/a.txt")]) == {2: "row-y"}
