"""Which fleets are mixed, what they are started with, and what is reported of those that fail."""

import json
import os
from pathlib import Path

import pytest
from release_tool.packages import WORKERS as PACKAGES
from wheel_trials.mixed_fleets import Released, complaints_in, mixes

from unstract_devstack.fleet import WORKERS

ROOT = Path(__file__).parents[2]
HEAD = Path("/head/bin/python")
RELEASED = tuple(
    Released(each, "1.0.0", "1.1.0", Path(f"/{each.name}/bin/python"), Path("/messages")) for each in PACKAGES
)
NAMES = [each.name for each in PACKAGES]


def test_each_worker_is_once_the_only_old_one_and_once_the_only_new_one():
    fleets = [{each.package.name for each in mix.released} for mix in mixes(RELEASED)]
    assert fleets == [*({name} for name in NAMES), *(set(NAMES) - {name} for name in NAMES)]


def test_a_fleet_is_named_by_its_releases():
    assert next(mixes(RELEASED)).name == (
        "released api-deployment 1.0.0 (core 1.1.0) | head general, file-processing, callback"
    )


def test_the_development_stack_starts_what_the_mix_says(monkeypatch):
    for mix in mixes(RELEASED):
        with monkeypatch.context() as patched:
            for name, value in mix.environment(HEAD).items():
                patched.setenv(name, value)
            for kind in WORKERS:
                old = kind.name in {each.package.name for each in mix.released}
                assert (kind.interpreter(0) == f"/{kind.name}/bin/python") is old
            # The second file worker, which goes on where the first one stopped, is always of the head.
            second = next(kind for kind in WORKERS if kind.name == "file-processing").interpreter(1)
            assert second == str(HEAD) or "file-processing" not in {each.package.name for each in mix.released}


def test_the_scenarios_are_there():
    for each in {scenario for mix in mixes(RELEASED) for scenario in mix.scenarios}:
        file, _, name = each.partition("::")
        assert f"def {name.partition('[')[0]}(" in (ROOT / file).read_text(encoding="utf-8")


def test_the_platform_executor_is_tried_where_all_but_the_file_worker_are_released():
    tried = [mix.name for mix in mixes(RELEASED) if any("tests/executor/" in each for each in mix.scenarios)]
    (only,) = tried
    assert only.endswith("| head file-processing")


def test_complaints_of_workers_are_reported_once_with_the_field(tmp_path):
    folder = tmp_path / "slow0" / "logs"
    folder.mkdir(parents=True)
    dead = {"level": "error", "event": "message dead-lettered", "reason": "BatchDoorbell.batch: required field missing"}
    lines = [{"level": "info", "event": "ready"}, dead, {**dead, "timestamp": "later"}, [1]]
    text = "\n".join(["not JSON", *map(json.dumps, lines)])
    (folder / "file-processing.log").write_text(text + os.linesep)
    assert complaints_in(tmp_path) == (
        "file-processing: message dead-lettered: BatchDoorbell.batch: required field missing",
    )


@pytest.mark.parametrize("level", ["warning", "critical"])
def test_complaints_are_not_only_errors(tmp_path, level):
    (tmp_path / "callback.log").write_text(json.dumps({"level": level, "event": "left alone", "error": "x.y: missing"}))
    assert complaints_in(tmp_path) == ("callback: left alone: x.y: missing",)
