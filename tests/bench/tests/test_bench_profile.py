"""`bench --profile`: a flame graph of the real worker under load, or a plain word about why there is none."""

import re
import sys
from pathlib import Path

import pytest

from unstract_bench import profiling
from unstract_bench.rounds import Setting
from unstract_devstack.processes import ProcessError


def test_the_graph_shows_where_the_worker_spends_its_time(tmp_path, monkeypatch):
    monkeypatch.setattr(profiling, "SECONDS", 3)
    target = tmp_path / "flame.svg"
    try:
        profiling.profile(Setting(tmp_path / "run", Path(sys.executable), print), target)
    except ProcessError as error:
        if "ermission" not in str(error):
            raise
        pytest.skip(f"py-spy may not look at other processes here: {error}")
    assert re.search(r"<title>process_batch \(unstract_worker_file_processing/batch.py:\d+\)", target.read_text())


def test_without_a_graph_it_says_why(tmp_path, monkeypatch):
    monkeypatch.setattr(profiling, "SECONDS", 1)
    with pytest.raises(ProcessError, match=r"no flame graph to .*/nowhere/flame.svg: .*No such file"):
        profiling.profile(Setting(tmp_path / "run", Path(sys.executable), print), tmp_path / "nowhere" / "flame.svg")
