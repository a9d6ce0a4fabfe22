"""CI looks at the packages that a change concerns, and at no others."""

import json

import pytest

ALL = ["core", "api-deployment", "general", "file-processing", "callback"]


@pytest.mark.parametrize(
    ("path", "packages", "images"),
    [
        ("packages/unstract-worker-callback/src/unstract_worker_callback/more.py", ["callback"], True),
        ("packages/unstract-worker-general/tests/test_more.py", ["general"], True),
        ("packages/unstract-worker-core/pyproject.toml", ALL, True),
        ("packages/unstract-worker-callback/CHANGELOG.md", [], False),
        ("README.md", [], False),
        ("CHANGELOG.md", [], False),
        ("docker/Dockerfile", [], True),
        ("tests/devstack/src/unstract_devstack/more.py", ALL, True),
        ("constraints.txt", ALL, True),
        (".github/workflows/ci.yml", ALL, True),
        ("something/new.txt", ALL, True),
    ],
)
def test_a_change_concerns(released, path, packages, images):
    released.git("checkout", "--quiet", "-b", "work")
    file = released.root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"{file.read_text() if file.exists() else ''}\n")
    released.commit()
    assert json.loads(released.ok("changed", "--since", "main")) == {
        "packages": packages,
        "core": "core" in packages,
        "images": images,
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


@pytest.mark.parametrize("since", [[], ["--since", "0000000000000000000000000000000000000000"], ["--since=--all"]])
def test_without_a_known_base_all_is_looked_at(released, since):
    assert json.loads(released.ok("changed", *since))["packages"] == ALL
