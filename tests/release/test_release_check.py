"""A release is in order when tag, version, changelog, index and the range of core agree."""

import pytest


def test_every_fresh_release_is_in_order(released):
    released.git("checkout", "--quiet", "core-v1.0.0")
    for package in ("core", "api-deployment", "general", "file-processing", "callback"):
        assert "is in order" in released.ok("check", package, "--tag", f"{package}-v1.0.0")


def test_before_the_first_release_all_that_is_missing_is_named(workspace):
    output = workspace.refused("check", "callback")
    assert "the newest heading is none, the version is 0.1.0" in output
    assert "CHANGELOG.md has no row for unstract-worker-callback 0.1.0" in output
    assert "core 0.1 is no release" in output


def test_a_tag_of_another_version_or_package_is_refused(released):
    output = released.refused("check", "callback", "--tag", "callback-v1.4.0")
    assert "the version of this commit is 1.0.0: its tag is callback-v1.0.0" in output
    assert "its tag is core-v1.0.0" in released.refused("check", "core", "--tag", "callback-v1.0.0")


def test_a_tag_that_is_elsewhere_is_refused(released):
    output = released.refused("check", "callback", "--tag", "callback-v1.0.0")
    assert "callback-v1.0.0 is not the commit that is checked out" in output


def test_a_tag_that_is_not_the_commit_of_the_index_is_refused(released):
    released.git("tag", "--force", "callback-v1.0.0", "HEAD")
    assert "but CHANGELOG.md says" in released.refused("check", "callback")


def test_a_missing_tag_is_a_note_with_the_command_for_it(released):
    commit = released.release_one("core")
    assert f"git tag -a core-v1.1.0 {commit[:12]}" in released.ok("check", "core")


def test_sources_that_went_on_are_a_note(released):
    released.source("core").write_text('"""More."""\n')
    assert "1 files changed since core-v1.0.0" in released.ok("check", "core")


def test_fragments_that_are_left_in_a_release_are_refused(released):
    released.git("checkout", "--quiet", "core-v1.0.0")
    released.fragment("core", "b.bugfix.md")
    assert "holds b.bugfix.md: they belong to the next release" in released.refused("check", "core")
    assert "holds b.bugfix.md" in released.refused("check", "core", "--tag", "core-v1.0.0")


def test_fragments_and_another_range_after_a_release_are_notes(released):
    released.release_one("core")
    released.fragment("callback", "b.bugfix.md")
    released.replace(released.folder("callback") / "pyproject.toml", ">=1.0,<2", ">=1.1,<2")
    output = released.ok("check", "callback")
    assert "note: packages/unstract-worker-callback/changes/ holds b.bugfix.md" in output
    assert "note: CHANGELOG.md says that callback 1.0.0 needs core >=1.0,<2, not >=1.1,<2" in output
    assert "holds b.bugfix.md" in released.refused("check", "callback", "--tag", "callback-v1.0.0")


@pytest.mark.parametrize(
    ("file", "before", "after", "output"),
    [
        ("CHANGELOG.md", "## 1.0.0", "## 1.0.1", "the newest heading is 1.0.1, the version is 1.0.0"),
        ("CHANGELOG.md", "(2026-01-02)", "(2026-01-03)", "dates callback 1.0.0 2026-01-02"),
        ("pyproject.toml", 'version = "1.0.0"', 'version = "1.0.1"', "has no row for unstract-worker-callback 1.0.1"),
        ("pyproject.toml", 'version = "1.0.0"', 'version = "1.0"', "must be MAJOR.MINOR.PATCH"),
        ("pyproject.toml", ">=1.0,<2", ">=1.0.0,<2", "needs core >=1.0,<2, not >=1.0.0,<2"),
        ("pyproject.toml", ">=1.0,<2", ">=1.0,<3", "the upper bound must be the next major version, <2"),
        ("pyproject.toml", ">=1.0,<2", ">=1.1,<2", "core is only at 1.0.0"),
        ("pyproject.toml", ">=1.0,<2", ">=0.9,<1", "core is at 1.0.0 already"),
        ("pyproject.toml", ">=1.0,<2", ">=0.9,<2", "core 0.9 is no release of CHANGELOG.md"),
        ("pyproject.toml", ">=1.0,<2", ">=1.0", "write it as `>=1.2,<2`"),
        ("pyproject.toml", ">=1.0,<2", "==1.0.0", "write it as `>=1.2,<2`"),
        ("pyproject.toml", "unstract-worker-core>=1.0,<2", "attrs", "must name unstract-worker-core once"),
    ],
)
def test_what_disagrees_is_named(released, file, before, after, output):
    released.git("checkout", "--quiet", "callback-v1.0.0")
    released.replace(released.folder("callback") / file, before, after)
    assert output in released.refused("check", "callback")


def test_a_new_core_goes_out_alone_while_the_workers_stay_in_order(released):
    released.release_one("core")
    released.ok("check", "core")
    released.ok("check", "callback")


def test_a_new_major_core_is_refused_by_workers_that_do_not_allow_it(released):
    released.release_one("core", "major")
    assert "core is at 2.0.0 already" in released.refused("check", "callback")
