"""Which files a demo run takes, under which names, and which paths it refuses before anything starts."""

import os
import socket
import stat
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unstract_devstack.demo.inputs import InputFault, InputFile, collect, in_batches


def make(folder: Path, *names: str) -> None:
    """Files with their own name as content."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)


def sent_names(*paths: Path) -> dict[str, str]:
    """What would be sent: name to content."""
    return {file.name: file.path.read_text() for file in collect(paths).files}


def test_folders_are_walked_and_equal_names_kept_apart(tmp_path: Path) -> None:
    make(tmp_path, "b.txt", "x/a.txt", "y/a.txt", "y/deep/er/a.txt", ".hidden")
    assert sent_names(tmp_path) == {
        ".hidden": ".hidden",
        "b.txt": "b.txt",
        "x__a.txt": "x/a.txt",
        "y__a.txt": "y/a.txt",
        "y__deep__er__a.txt": "y/deep/er/a.txt",
    }


def test_equal_names_from_several_paths_are_numbered(tmp_path: Path) -> None:
    make(tmp_path, "x/a.txt", "y/a.txt", "z/x__a.txt", "z/x/a.txt", "w/A.TXT", "v/.a", "u/.a")
    given_paths = [tmp_path / name for name in ("x", "y", "z", "w", "v", "u")]
    names = sent_names(*given_paths)
    assert names["a.txt"] == "x/a.txt"
    assert names["a-2.txt"] == "y/a.txt"
    assert names["A-3.TXT"] == "w/A.TXT"
    assert {names["x__a.txt"], names["x__a-2.txt"]} == {"z/x__a.txt", "z/x/a.txt"}
    assert {names[".a"], names[".a-2"]} == {"v/.a", "u/.a"}


def test_a_file_given_twice_is_sent_once(tmp_path: Path) -> None:
    make(tmp_path, "x/a.txt")
    assert sent_names(tmp_path / "x/a.txt", tmp_path / "x", tmp_path / "x/../x/a.txt") == {"a.txt": "x/a.txt"}


def test_links_and_special_files_in_folders_are_left_out(tmp_path: Path) -> None:
    make(tmp_path, "real/a.txt", "outside/b.txt")
    folder = tmp_path / "real"
    (folder / "link.txt").symlink_to(tmp_path / "outside/b.txt")
    (folder / "linked").symlink_to(tmp_path / "outside")
    (folder / "loop").symlink_to(folder)
    (folder / "broken").symlink_to(tmp_path / "nowhere")
    os.mkfifo(folder / "pipe")
    inputs = collect([folder])
    assert [file.name for file in inputs.files] == ["a.txt"]
    assert [path.name for path in inputs.left_out] == ["broken", "link.txt", "linked", "loop", "pipe"]


def test_what_cannot_be_used_is_named(tmp_path: Path) -> None:
    make(tmp_path, "good.txt")
    (tmp_path / "empty" / "inner").mkdir(parents=True)
    dangling = tmp_path / "dangling"
    dangling.symlink_to(tmp_path / "nowhere")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s"))
        for bad in (
            tmp_path / "missing",
            tmp_path / "good.txt" / "below",
            dangling,
            tmp_path / "empty",
            tmp_path / "s",
        ):
            with pytest.raises(InputFault) as caught:
                collect([*([] if bad.name == "empty" else [tmp_path / "good.txt"]), bad])
            assert str(bad) in str(caught.value)
    with pytest.raises(InputFault):
        collect([Path("with\0zero")])


@pytest.fixture
def ordinary_user() -> Iterator[Path]:
    """A folder of an ordinary user, as whom the test runs: root reads everything."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o777)
        before = os.geteuid()
        if before == 0:
            os.seteuid(65534)
        try:
            yield Path(name)
        finally:
            os.seteuid(before)


@pytest.mark.parametrize("name", ["x/secret.txt", "x"])
def test_what_cannot_be_read_is_named(ordinary_user: Path, name: str) -> None:
    make(ordinary_user, "x/secret.txt", "x/other.txt")
    locked = ordinary_user / name
    before = stat.S_IMODE(locked.stat().st_mode)
    locked.chmod(0)
    for path in (ordinary_user, locked):
        with pytest.raises(InputFault) as caught:
            collect([path])
        assert str(caught.value) == f"{locked}: permission denied"
    locked.chmod(before)


def test_odd_names_become_safe_and_stay_short(tmp_path: Path) -> None:
    odd = ['quo"te.txt', "line\nbreak.txt", "back\\slash.txt", "Größe ✓.txt"]
    make(tmp_path, *odd, f"{'d' * 120}/{'e' * 120}/a.txt", f"{'d' * 120}/{'f' * 120}/a.txt")
    (tmp_path / os.fsdecode(b"caf\xe9.txt")).write_text("latin")
    names = sent_names(tmp_path)
    assert {"quo_te.txt", "line_break.txt", "back_slash.txt", "Größe ✓.txt", "caf_.txt"} <= set(names)
    assert len(names) == 7
    assert all(len(name.encode()) <= 255 and name.endswith(".txt") for name in names)


@given(sizes=st.lists(st.integers(0, 50), max_size=40), count=st.integers(1, 7), size=st.integers(1, 100))
def test_batches_hold_every_file_once_within_the_limits(sizes: list[int], count: int, size: int) -> None:
    files = [InputFile(Path(str(index)), str(index), each) for index, each in enumerate(sizes)]
    batches = list(in_batches(files, count=count, size=size))
    assert [file for batch in batches for file in batch] == files
    assert Counter(len(batch) for batch in batches)[0] == 0
    for batch in batches:
        assert len(batch) <= count
        assert len(batch) == 1 or sum(file.size for file in batch) <= size
