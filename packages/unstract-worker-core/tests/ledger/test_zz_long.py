import os
from hypothesis import HealthCheck, Phase, settings, seed
from hypothesis.stateful import run_state_machine_as_test
from .test_core_ledger_machine import LedgerMachine
import pytest

@pytest.mark.parametrize("number", [11, 222, 3333, 44444])
@pytest.mark.timeout(0)
def test_long(new_driver, number):
    machine = type("Machine", (LedgerMachine,), {"make_driver": staticmethod(new_driver)})
    run_state_machine_as_test(seed(number)(machine), settings=settings(max_examples=800, stateful_step_count=50, deadline=None,
        suppress_health_check=list(HealthCheck), database=None, phases=(Phase.generate,), print_blob=True))
