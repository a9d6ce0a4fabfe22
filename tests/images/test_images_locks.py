"""The locks are current, complete, and hold nothing but names, versions and hashes."""

import re
from importlib.metadata import PackageNotFoundError, requires

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version
from unstract_images.locks import LOCKS, Lock, all_locks, declared_digest, pinned, stale
from unstract_images.wheelhouse import Target
from unstract_images.workers import ROOT

LINE = re.compile(
    r"#.*|[a-z0-9-]+==[0-9a-z.]+( ; [a-z_]+ [<>=!]+ '[0-9a-z.]+')? \\|    --hash=sha256:[0-9a-f]{64}( \\)?"
)
EACH = pytest.mark.parametrize("lock", list(all_locks()), ids=lambda lock: lock.name)


@EACH
def test_locks_are_current(lock):
    assert stale(lock) is None, "run `hatch run images:lock`"


@EACH
def test_locks_hold_names_versions_and_hashes_alone(lock):
    lines = lock.path.read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if not LINE.fullmatch(line)] == []
    # Each pin is followed by a hash at least.
    assert all("--hash=" in lines[number + 1] for number, line in enumerate(lines) if "==" in line and line[0] != "#")


@EACH
def test_locks_fulfil_what_is_declared(lock):
    pins = pinned(lock)
    for requirement in map(Requirement, lock.requirements):
        assert Version(pins[canonicalize_name(requirement.name)]) in requirement.specifier


@EACH
def test_locks_pin_what_was_tested(lock):
    constraints = dict(
        line.partition(" ;")[0].split("==")
        for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
        if "==" in line
    )
    pins = {name.strip(): version for name, version in pinned(lock).items() if name != "pip"}
    assert pins == {name: constraints[name] for name in pins}


@EACH
def test_what_is_locked_needs_nothing_that_is_not(lock):
    pins = set(pinned(lock))
    missing = set()
    for name in pins:
        try:
            needed = requires(name) or []
        except PackageNotFoundError:
            continue  # for another platform, or not installed with the tests
        for requirement in map(Requirement, needed):
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                missing |= {canonicalize_name(requirement.name)} - pins
    assert missing == set()


def test_no_lock_is_left_over():
    assert {path.name for path in LOCKS.glob("*.txt")} == {lock.path.name for lock in all_locks()}


def test_a_changed_dependency_makes_a_lock_stale(tmp_path, monkeypatch):
    lock = next(iter(all_locks()))
    changed = Lock(lock.name, (*lock.requirements, "left-pad>=1"))
    assert declared_digest(changed) != declared_digest(lock)
    assert "other dependencies" in stale(changed)
    assert stale(Lock("unheard-of", ())) == "is missing"


def test_markers_are_evaluated_for_the_base_and_not_for_here():
    old, new = Target("3.11.2", "x86_64"), Target("3.13.1", "x86_64")
    line = "async-timeout==5.0.1 ; python_full_version < '3.11.3'"
    assert old.takes(line)
    assert not new.takes(line)
    assert not new.takes("tzdata==2026.6 ; sys_platform == 'win32'")
    assert new.takes("attrs==26.1.0")
