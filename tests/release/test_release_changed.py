"""CI looks at the packages that a change concerns, and at no others."""

import json

import pytest

ALL = ["core", "api-deployment", "general", "file-processing", "callback"]


@pytest.mark.parametrize(
    ("path", "packages", "images", "code"),
    [
        ("packages/unstract-worker-callback/src/unstract_worker_callback/more.py", ["callback"], True, True),
        ("packages/unstract-worker-general/tests/test_more.py", ["general"], True, True),
        ("packages/unstract-worker-core/pyproject.toml", ALL, True, True),
        ("packages/unstract-worker-core/ENVIRONMENT.md", [], False, False),
        ("packages/unstract-worker-callback/changes/more.bugfix.md", [], False, False),
        ("README.md", [], False, False),
        ("docker/MOVING.md", [], False, False),
        (".github/release/README.md", [], False, False),
        (".github/ISSUE_TEMPLATE/bug.yml", [], False, False),
        ("docker/Dockerfile", [], True, True),
        ("tests/acceptance/test_acceptance_api.py", [], False, True),
        ("tests/devstack/src/unstract_devstack/more.py", ALL, True, True),
        ("constraints.txt", ALL, True, True),
        (".github/workflows/ci.yml", ALL, True, True),
        ("something/new.txt", ALL, True, True),
    ],
)
def test_a_change_concerns(released, path, packages, images, code):
    released.git("checkout", "--quiet", "-b", "work")
    file = released.root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"{file.read_text() if file.exists() else ''}\n")
    released.commit()
    assert json.loads(released.ok("changed", "--since", "main")) == {
        "packages": packages,
        "core": "core" in packages,
        "images": images,
        "code": code,
    }


def test_what_others_did_meanwhile_is_not_ours(released):
    released.git("checkout", "--quiet", "-b", "work")
    released.source("callback").write_text('"""Ours."""\n')
    released.commit()
    released.git("checkout", "--quiet", "main")
    released.source("general").write_text('"""Theirs."""\n')
    released.commit()
    released.git("checkout", "--quiet", "work")
    assert json.loads(released.ok("changed", "--since", "main"))["packages"] == ["callback"]


@pytest.mark.parametrize("since", [[], ["--since", ""], ["--since", "0" * 40], ["--since", "a" * 40]])
def test_without_a_known_base_all_is_looked_at(released, since):
    assert json.loads(released.ok("changed", *since))["packages"] == ALL


@pytest.mark.parametrize("since", ["mian", "--all"])
def test_a_name_that_is_no_commit_is_refused(released, since):
    assert f"{since}: there is no such commit" in released.refused("changed", f"--since={since}")
