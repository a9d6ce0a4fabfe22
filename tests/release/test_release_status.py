"""What is unreleased is known from the index, the fragments and the sources."""

import json
from pathlib import Path

import pytest


def test_before_the_first_release_everything_is_unreleased(workspace):
    found = json.loads(workspace.ok("status", "--json"))
    assert [each["package"] for each in found] == ["core", "api-deployment", "general", "file-processing", "callback"]
    assert {each["state"] for each in found} == {"never_released"}
    assert all(each["unreleased"] and each["released"] is None for each in found)


def test_after_a_release_nothing_is(released):
    found = json.loads(released.ok("status", "--json"))
    assert {each["state"] for each in found} == {"released"}
    assert not any(each["unreleased"] for each in found)
    core = released.status("core")["released"]
    assert core == {"version": "1.0.0", "date": "2026-01-02", "commit": released.git("rev-parse", "core-v1.0.0")}


@pytest.mark.parametrize("kept", ["committed", "in the work tree", "a new file"])
def test_a_changed_source_is_unreleased_and_wants_a_fragment(released, kept):
    path = released.source("callback")
    if kept == "a new file":
        path = path.with_name("more.py")
    path.write_text('"""Other."""\n')
    if kept == "committed":
        released.commit()
    found = released.status("callback")
    assert found["state"] == "changed"
    assert found["changed_files"] == [path.relative_to(released.root).as_posix()]
    assert found["undescribed"]
    assert released.status("core")["state"] == "released"
    assert "no fragment says what changed" in released.ok("status")


def test_a_fragment_alone_is_an_unreleased_change(released):
    released.fragment("general", "retry.bugfix.md")
    found = released.status("general")
    assert (found["state"], found["fragments"], found["undescribed"]) == ("changed", ["retry.bugfix.md"], False)


def test_tests_and_words_beside_the_wheel_are_no_change(released):
    released.folder("general").joinpath("tests").mkdir()
    released.folder("general").joinpath("tests", "test_it.py").write_text("")
    released.root.joinpath("README.md").write_text("Words")
    assert released.status("general")["state"] == "released"


def test_a_release_that_is_only_prepared_is_not_yet_released(released):
    released.fragment("core")
    released.commit()
    released.ok("prepare", "core", "--bump", "minor")
    assert released.status("core")["state"] == "prepared"
    released.commit()
    assert released.status("core")["state"] == "released"


def test_tags_are_not_needed_to_know(released):
    released.git("tag", "--delete", *released.git("tag").split())
    released.release_one("core")
    assert released.status("core")["state"] == "released"
    assert released.status("core")["released"]["commit"] == released.git("rev-parse", "HEAD")


def test_a_shallow_clone_is_refused_instead_of_guessed(released, tmp_path: Path):
    clone = tmp_path / "shallow"
    released.git("clone", "--quiet", "--depth", "1", "--no-tags", f"file://{released.root}", str(clone))
    released.root = clone
    assert "git fetch --unshallow" in released.refused("status")


def test_an_index_that_cannot_be_read_is_named_by_its_line(released):
    released.replace(released.root / "CHANGELOG.md", "| unstract-worker-core |", "| unstract-worker-cord |")
    assert "CHANGELOG.md, line 9" in released.refused("status")


def test_the_core_to_try_with_is_named_as_the_workflows_name_it(workspace):
    done = workspace.release("test-wheel", "--core", "oldest")
    assert done.code == 2
    assert "'oldest' is not one of 'lowest', 'newest'" in done.err
