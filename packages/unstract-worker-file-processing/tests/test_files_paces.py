"""What a file of a workflow takes, as it was seen."""

import pytest

from unstract_worker_file_processing.paces import Paces


def test_nothing_is_known_of_a_workflow_that_never_ran():
    assert Paces().of("a") is None


def test_the_newest_files_count_most():
    paces = Paces()
    paces.took("a", 1.0)
    assert paces.of("a") == 1.0
    paces.took("a", 2.0)
    assert paces.of("a") == pytest.approx(1.3)
    paces.took("b", 9.0)
    assert paces.of("a") == pytest.approx(1.3)


def test_the_workflows_that_ran_last_are_kept():
    paces = Paces()
    for number in range(300):
        paces.took(str(number), 1.0)
        paces.took("busy", 1.0)
    assert paces.of("0") is None
    assert paces.of("busy") == paces.of("299") == 1.0
