"""Ranges, bumps and the table of the index, for whatever they are given."""

import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packaging.version import Version
from release_tool.index import Index, Row
from release_tool.packages import PACKAGES, package_named
from release_tool.repository import ReleaseError
from release_tool.versions import Bump, CoreRange, next_version
from wheel_trials.inspecting import wheel_faults

numbers = st.integers(0, 40)
versions = st.builds(lambda *parts: Version(".".join(map(str, parts))), numbers, numbers, numbers)
rows = st.builds(
    Row,
    date=st.dates().map(str),
    package=st.sampled_from(PACKAGES),
    version=versions,
    commit=st.none() | st.text("0123456789abcdef", min_size=12, max_size=12),
    needs_core=st.sampled_from(["-", ">=1.0,<2"]),
)


@settings(deadline=None)
@given(versions)
def test_each_bump_goes_on_and_by_its_own_amount(version):
    same, patch, minor, major = (next_version(version, bump) for bump in Bump)
    assert version == same < patch < minor < major
    assert (major.minor, major.micro, minor.micro) == (0, 0, 0)


@settings(deadline=None)
@given(st.lists(rows, max_size=6), st.sampled_from(["", "\nMore words.\n"]))
def test_an_index_is_written_as_it_was_read(given_rows, after):
    head = "# Releases\n\n| date | package | version | commit | needs core |\n| --- | --- | --- | --- | --- |\n"
    text = Index(head, tuple(given_rows), after).rendered()
    assert Index.parse(text) == Index(head, tuple(given_rows), after)


@settings(deadline=None)
@given(versions, versions, st.sampled_from(["", ".dev0"]))
def test_a_range_holds_its_lower_bound_and_nothing_of_the_next_major(lower, other, suffix):
    found = CoreRange.parse(f">={lower}{suffix},<{lower.major + 1}", where="here")
    assert found.lower in found
    assert found.upper == found.next_major
    assert found.upper not in found
    assert Version(f"{found.upper}.dev0") not in found
    assert (other in found) == (lower <= other and other.major == lower.major)


@pytest.mark.parametrize("text", ["", ">=1", "<2", "~=1.0", ">=1,<2,!=1.1", ">1,<2", ">=1,<=2", ">=1.0a1,<2"])
def test_a_range_of_another_form_is_refused(text):
    with pytest.raises(ReleaseError, match="here needs core"):
        CoreRange.parse(text, where="here")


def wheel(path: Path, *, metadata: str, files: tuple[str, ...] = ("unstract_worker_callback/py.typed",)) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name in files:
            archive.writestr(name, "")
        archive.writestr("it.dist-info/METADATA", metadata)
        archive.writestr("it.dist-info/entry_points.txt", "[console_scripts]\nunstract-worker-callback = a:b\n")
    return path


COMPLETE = "\n".join(
    [
        "Metadata-Version: 2.4",
        "Name: unstract-worker-callback",
        "Version: 1.0.0",
        "Summary: What it is.",
        "Keywords: a",
        "Author: Somebody",
        "License-Expression: Apache-2.0",
        "License-File: LICENSE",
        "Requires-Python: >=3.11",
        *(f"Classifier: Programming Language :: Python :: 3.{minor}" for minor in (11, 12, 13, 14)),
        *(f"Project-URL: {name}, https://example.org" for name in ("Source", "Issues", "Changelog", "Documentation")),
        "Description-Content-Type: text/markdown",
        "",
        *("A line." for _ in range(12)),
    ]
)


def faults(path: Path) -> str:
    return "\n".join(wheel_faults(package_named("callback"), Version("1.0.0"), path))


def test_a_complete_wheel_has_no_fault(tmp_path):
    assert faults(wheel(tmp_path / "it.whl", metadata=COMPLETE)) == ""


@pytest.mark.parametrize(
    ("line", "output"),
    [
        ("Version: 1.0.0", "is unstract-worker-callback None"),
        ("License-Expression: Apache-2.0", "License-Expression is missing"),
        ("Classifier: Programming Language :: Python :: 3.14", "the classifier of Python 3.14 is missing"),
        ("Project-URL: Issues, https://example.org", "[project.urls] lacks Issues"),
        ("Description-Content-Type: text/markdown", "the readme has"),
    ],
)
def test_what_the_metadata_lack_is_named(tmp_path, line, output):
    assert line in COMPLETE
    assert output in faults(wheel(tmp_path / "it.whl", metadata=COMPLETE.replace(f"{line}\n", "")))


def test_a_missing_type_marker_is_named(tmp_path):
    assert "py.typed is missing" in faults(wheel(tmp_path / "it.whl", metadata=COMPLETE, files=()))
