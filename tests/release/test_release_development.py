"""A package whose next release is named but not made: `2.0.0.dev0` is checked, built and tried, and never released."""

import pytest

IN_DEVELOPMENT = ("core", "callback")


@pytest.fixture
def developing(released):
    """Core and callback are on their way to 2.0.0, the other workers stay at 1.0.0."""
    for package in IN_DEVELOPMENT:
        pyproject = released.folder(package) / "pyproject.toml"
        released.replace(pyproject, 'version = "1.0.0"', 'version = "2.0.0.dev0"')
        if package != "core":
            released.replace(pyproject, ">=1.0,<2", ">=2.0.0.dev0,<3")
        released.fragment(package, "gone.removal.md")
    released.commit("Go on to 2.0.0")
    return released


def test_it_is_in_order_and_says_that_it_is_no_release(developing):
    for package in IN_DEVELOPMENT:
        output = developing.ok("check", package)
        assert f"note: {package} 2.0.0 is in development" in output
        assert f"{package}-v2.0.0.dev0 is in order" in output
        found = developing.status(package)
        assert (found["version"], found["state"], found["undescribed"]) == ("2.0.0.dev0", "changed", False)
        assert found["released"]["version"] == "1.0.0"


@pytest.mark.parametrize("tag", ["callback-v2.0.0.dev0", "callback-v1.0.0", "callback-v2.0.0"])
def test_no_tag_releases_it(developing, tag):
    developing.git("tag", "--force", tag)
    assert "wrong: callback 2.0.0 is in development" in developing.refused("check", "callback", "--tag", tag)


@pytest.mark.parametrize("bump", ["none", "patch", "minor"])
def test_it_becomes_no_other_release_than_the_one_that_it_names(developing, bump):
    output = developing.refused("prepare", "core", "--bump", bump)
    assert "is at 2.0.0.dev0: --bump major leads there from 1.0.0" in output
    assert developing.touched() == set()


def test_core_comes_first_and_then_the_worker_that_names_the_released_core(developing):
    output = developing.refused("prepare", "callback", "--bump", "major")
    assert "core 2.0.0.dev0 is no release of CHANGELOG.md; release it first" in output
    developing.ok("prepare", "core", "--bump", "major")
    developing.commit("Release core 2.0.0")
    assert developing.ok("version", "core") == "2.0.0\n"
    developing.ok("check", "callback")
    assert "core 2.0.0.dev0 is no release" in developing.refused("prepare", "callback", "--bump", "major")
    developing.replace(developing.folder("callback") / "pyproject.toml", ">=2.0.0.dev0,<3", ">=2.0,<3")
    developing.ok("prepare", "callback", "--bump", "major")
    developing.commit("Release callback 2.0.0")
    developing.git("tag", "callback-v2.0.0")
    assert "callback-v2.0.0 is in order (needs core >=2.0,<3)" in developing.ok(
        "check", "callback", "--tag", "callback-v2.0.0"
    )


def test_a_worker_that_does_not_allow_it_is_out_of_order(developing):
    assert "core is at 2.0.0.dev0 already" in developing.refused("check", "general")


def test_released_workers_that_do_not_allow_it_are_not_tried_with_it(developing):
    assert "no worker is released that allows this core" in developing.ok("downstream")


@pytest.mark.parametrize("version", ["2.0.0rc1", "2.0.0.dev1", "2.0.dev0", "2.0.0.post1"])
def test_other_forms_of_unfinished_versions_are_refused(developing, version):
    developing.replace(developing.folder("core") / "pyproject.toml", "2.0.0.dev0", version)
    assert "must be MAJOR.MINOR.PATCH, or MAJOR.MINOR.PATCH.dev0" in developing.refused("status")
