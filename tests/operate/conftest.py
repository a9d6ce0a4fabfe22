"""A stack whose file-processing worker is left out, so that runs strand, and an operator's shell on it."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from unstract_devstack.fleet import API_DEPLOYMENT, CALLBACK, GENERAL
from unstract_devstack.platform_client import Platform
from unstract_devstack.stack import Stack, running_stack

from .operator_shell import Ground

SETTINGS = {
    "WORKER_LEASE_SECONDS": "6",
    "WORKER_SWEEP_SECONDS": "0.5",
    "WORKER_FIRST_RING_WAIT": "600",  # what is rung again within a test, an operator rang
    "WORKER_RECHECK_SECONDS": "2",
    "WORKER_DRAIN_SECONDS": "8",
}


@pytest.fixture(scope="session")
def stack(tmp_path_factory) -> Iterator[Stack]:
    kinds = (API_DEPLOYMENT, GENERAL, CALLBACK)
    with running_stack(tmp_path_factory.mktemp("operate"), settings=SETTINGS, workers=kinds) as running:
        yield running


_NUMBERS = itertools.count(1)


@pytest.fixture
def ground(stack: Stack, tmp_path: Path) -> Ground:
    platform = Platform(stack.backend.public_url, stack.backend.api_key, f"org_operate_{next(_NUMBERS)}")
    platform.set_up_organization()
    made = Ground(stack, platform, tmp_path)
    made.api()
    return made
