"""Preparing a release changes the version, the changelog and the index of one package, or nothing at all."""

import pytest


def test_one_package_is_prepared_and_no_other_is_touched(released):
    released.fragment("callback", "sweep.feature.md", "The sweeper is faster.")
    released.fragment("callback", "retry.bugfix.md", "A retry ends.\nReally.")
    released.commit()
    released.ok("prepare", "callback", "--bump", "minor", "--date", "2026-02-03")
    own = "packages/unstract-worker-callback"
    assert released.touched() == {
        "CHANGELOG.md",
        f"{own}/CHANGELOG.md",
        f"{own}/pyproject.toml",
        f"{own}/changes/sweep.feature.md",
        f"{own}/changes/retry.bugfix.md",
    }
    assert released.ok("version", "callback") == "1.1.0\n"
    changed = released.git("diff", "HEAD", "--stat", "--", f"{own}/pyproject.toml")
    assert "1 insertion(+), 1 deletion(-)" in changed
    lines = (released.root / "CHANGELOG.md").read_text().splitlines()
    assert lines[4] == "| 2026-02-03 | unstract-worker-callback | 1.1.0 | pending | >=1.0,<2 |"
    assert lines[-1] == "Read on."
    assert (released.folder("callback") / "CHANGELOG.md").read_text() == (
        "# Changelog\n\n<!-- towncrier release notes start -->\n\n"
        "## 1.1.0 (2026-02-03)\n\n### Added\n\n- The sweeper is faster.\n\n### Fixed\n\n- A retry ends.\n  Really.\n\n"
        "## 1.0.0 (2026-01-02)\n\n### Added\n\n- Something new.\n"
    )


def test_each_kind_of_bump(released):
    versions = []
    for bump in ("patch", "minor", "patch", "major"):
        released.fragment("core", "a.misc.md")
        released.commit()
        released.ok("prepare", "core", "--bump", bump)
        released.commit()
        versions.append(released.ok("version", "core").strip())
    assert versions == ["1.0.1", "1.1.0", "1.1.1", "2.0.0"]


def test_the_first_release_is_of_the_version_that_is_there(workspace):
    workspace.fragment("core")
    workspace.ok("prepare", "core", "--bump", "none", "--date", "2026-02-03")
    assert workspace.ok("version", "core") == "0.1.0\n"
    assert (
        "| 2026-02-03 | unstract-worker-core | 0.1.0 | pending | - |" in (workspace.root / "CHANGELOG.md").read_text()
    )
    commit = workspace.commit("Release core 0.1.0")
    assert workspace.status("core")["released"]["commit"] == commit
    workspace.fragment("core", "b.misc.md")
    assert "--bump patch at least" in workspace.refused("prepare", "core", "--bump", "none")


def test_the_commits_of_earlier_releases_are_written_down_on_the_way(released):
    commit = released.release_one("core")
    released.fragment("general")
    released.ok("prepare", "general", "--bump", "minor")
    rows = [line for line in (released.root / "CHANGELOG.md").read_text().splitlines() if "1.1.0" in line]
    assert [row.split(" | ")[3] for row in rows] == ["pending", commit[:12]]


@pytest.mark.parametrize(
    ("kind", "bump", "least"),
    [("removal", "minor", "major"), ("removal", "patch", "major"), ("feature", "patch", "minor")],
)
def test_a_bump_that_hides_what_changed_is_refused(released, kind, bump, least):
    released.fragment("core", f"a.{kind}.md")
    assert f"--bump {least} at least" in released.refused("prepare", "core", "--bump", bump)
    assert released.touched() == {f"packages/unstract-worker-core/changes/a.{kind}.md"}


def test_a_release_without_a_word_about_it_is_refused(released):
    assert "packages/unstract-worker-core/changes/" in released.refused("prepare", "core", "--bump", "patch")


def test_a_fragment_with_a_wrong_name_is_refused(released):
    released.fragment("core", "oops.md")
    assert "changes/oops.md is not a change" in released.refused("prepare", "core", "--bump", "minor")


def test_a_release_on_an_unreleased_core_is_refused(workspace):
    workspace.fragment("callback")
    output = workspace.refused("prepare", "callback", "--bump", "minor")
    assert "core 0.1 is no release of CHANGELOG.md" in output
    assert workspace.ok("version", "callback") == "0.1.0\n"


def test_a_prepared_release_is_finished_before_the_next(released):
    released.fragment("core")
    released.commit()
    released.ok("prepare", "core", "--bump", "minor")
    released.fragment("core", "b.feature.md")
    assert "core-v1.1.0 is prepared already" in released.refused("prepare", "core", "--bump", "minor")


def test_a_version_that_was_changed_by_hand_is_refused(released):
    released.fragment("core")
    released.replace(released.folder("core") / "pyproject.toml", 'version = "1.0.0"', 'version = "1.3.0"')
    assert "last release in CHANGELOG.md is 1.0.0" in released.refused("prepare", "core", "--bump", "minor")


def test_an_unknown_package_is_named_with_those_there_are(released):
    done = released.release("prepare", "callbak", "--bump", "minor")
    assert done.code == 2
    assert "core, api-deployment, general, file-processing, callback" in done.err
