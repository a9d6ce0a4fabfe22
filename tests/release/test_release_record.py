"""The index names the commit of each release, also after history was rewritten; and notes come from the changelog."""

import json


def commits(workspace) -> dict[str, str]:
    rows = json.loads(workspace.ok("releases", "--json"))
    return {f"{row['package']} {row['version']}": row["commit"] for row in rows}


def test_a_release_is_known_before_and_after_it_is_written_down(released):
    commit = released.release_one("core")
    assert commits(released)["core 1.1.0"] == commit
    assert f"core-v1.1.0 is commit {commit[:12]}" in released.ok("record")
    assert released.touched() == {"CHANGELOG.md"}
    released.commit()
    assert commits(released)["core 1.1.0"] == commit
    assert "names the commit of every committed release" in released.ok("record")
    assert released.touched() == set()


def test_two_packages_of_one_commit_are_two_rows(released):
    first = released.git("rev-parse", "core-v1.0.0")
    assert {commit for name, commit in commits(released).items() if name.endswith("1.0.0")} == {first}
    second = released.release_one("general")
    third = released.release_one("callback")
    found = commits(released)
    assert (found["general 1.1.0"], found["callback 1.1.0"], found["core 1.0.0"]) == (second, third, first)


def test_a_tag_says_which_commit_where_a_row_came_earlier(released):
    released.release_one("core")
    released.source("core").write_text('"""A last fix before the tag."""\n')
    tagged = released.commit("Fix")
    released.git("tag", "core-v1.1.0")
    assert commits(released)["core 1.1.0"] == tagged


def without_tags(workspace) -> None:
    workspace.git("tag", "--delete", *workspace.git("tag").splitlines())


def test_a_release_that_came_by_a_merge_is_known_without_tags(released):
    released.git("switch", "--quiet", "--create", "release-core")
    core = released.release_one("core")
    released.git("switch", "--quiet", "main")
    released.source("general").write_text('"""Meanwhile."""\n')
    released.commit("Meanwhile")
    released.git("merge", "--quiet", "--no-ff", "--no-edit", "release-core")
    without_tags(released)
    assert commits(released)["core 1.1.0"] == core
    assert released.status("core")["released"]["commit"] == core


def test_releases_of_two_branches_meet_in_a_merge(released):
    released.git("switch", "--quiet", "--create", "one")
    core = released.release_one("core")
    released.git("switch", "--quiet", "--create", "other", "main")
    callback = released.release_one("callback")
    released.git("switch", "--quiet", "main")
    released.git("merge", "--quiet", "--no-ff", "--no-edit", "one")
    # Both added a first row: the merge keeps both.
    released.git("merge", "--quiet", "--no-ff", "--no-edit", "--strategy-option", "ours", "other")
    index = released.root / "CHANGELOG.md"
    row = "| 2026-02-03 | unstract-worker-callback | 1.1.0 | pending | >=1.0,<2 |\n"
    if row not in index.read_text():
        released.replace(index, "| 2026-02-03 | unstract-worker-core", f"{row}| 2026-02-03 | unstract-worker-core")
        released.git("commit", "--quiet", "--all", "--amend", "--no-edit")
    without_tags(released)
    found = commits(released)
    assert (found["core 1.1.0"], found["callback 1.1.0"]) == (core, callback)
    assert "wrong" not in released.ok("check", "callback") + released.ok("check", "core")


def test_after_a_rewritten_history_the_new_commit_is_written_down(released):
    released.release_one("core")
    released.ok("record")
    released.commit("Record")
    released.git("reset", "--quiet", "--soft", "HEAD~2")
    squashed = released.commit("Release and record, squashed")
    released.git("reflog", "expire", "--expire=now", "--all")
    released.git("gc", "--quiet", "--prune=now")
    assert commits(released)["core 1.1.0"] == squashed
    assert f"core-v1.1.0 is commit {squashed[:12]}" in released.ok("record")


def test_a_row_whose_commit_holds_another_version_is_refused(released):
    commit = released.git("rev-parse", "core-v1.0.0")
    before = released.git("rev-parse", f"{commit}~1")
    released.replace(released.root / "CHANGELOG.md", f"core | 1.0.0 | {commit[:12]}", f"core | 1.0.0 | {before[:12]}")
    assert "but there the version is 0.1.0" in released.refused("check", "core")


def test_notes_are_the_section_of_the_version(released):
    assert released.ok("notes", "callback") == "### Added\n\n- Something new.\n"
    released.fragment("callback", "b.bugfix.md", "Repaired.")
    released.ok("prepare", "callback", "--bump", "patch")
    assert released.ok("notes", "callback") == "### Fixed\n\n- Repaired.\n"
    assert released.ok("notes", "callback", "--version", "1.0.0") == "### Added\n\n- Something new.\n"
    assert "no section for 3.0.0" in released.refused("notes", "callback", "--version", "3.0.0")
