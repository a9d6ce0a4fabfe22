"""Charts as the pages use them."""

from xml.etree import ElementTree as ET

import pytest

from unstract_devstack.charts import Axis, bar_chart, line_chart


def test_a_chart_is_svg_with_its_names_escaped():
    for svg in (line_chart("a < b", "x", {"one & two": [(1, 2), (3, 4)]}), bar_chart("a < b", "x", {"one & two": 3})):
        reported = "".join(ET.fromstring(svg).itertext())  # noqa: S314 - our own
        assert "a < b" in reported
        assert "one & two" in reported


def test_an_empty_chart_is_still_one():
    assert ET.fromstring(line_chart("t", "x", {})).tag.endswith("svg")  # noqa: S314 - our own


def test_equal_factors_are_equal_steps_on_a_logarithmic_axis():
    axis = Axis(10, 10_000, log=True)
    assert [axis.share(value) for value in (10, 100, 1000, 10_000)] == pytest.approx([0, 1 / 3, 2 / 3, 1])
    assert axis.ticks == (10, 100, 1000, 10_000)
