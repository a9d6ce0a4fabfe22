"""RESULTS.md and its plots, from a run. Every figure on the page is from that run, or says from which."""

from collections.abc import Mapping
from pathlib import Path
from statistics import median

from jinja2 import Environment, StrictUndefined

from unstract_bench.document import Run
from unstract_bench.figures import Measure, Verdict
from unstract_devstack.charts import bar_chart, line_chart

TEMPLATE = Path(__file__).with_name("page.md.jinja")
CURVES = {
    "rates": ("Files a second", "slots of one process", False),
    "memory": ("PSS of one process after load, MiB", "slots of one process", False),
    "fan-in": ("Fan-in, milliseconds a batch", "batches", True),
}


def write_page(run: Run, folder: Path) -> None:
    """Write the page and the plots into a folder."""
    (folder / "RESULTS.md").write_text(page(run), encoding="utf-8")
    for name, svg in plots(run).items():
        (folder / name).write_text(svg, encoding="utf-8")


def page(run: Run) -> str:
    """The page, in Markdown."""
    engine = Environment(undefined=StrictUndefined, keep_trailing_newline=True, autoescape=False)  # noqa: S701 - no HTML
    template = engine.from_string(TEMPLATE.read_text(encoding="utf-8"))
    return template.render(run=run, machine=run.machine, plots=plots(run), verdict=_verdict, number=_number)


def plots(run: Run) -> Mapping[str, str]:
    """The plots by file name: only those whose figures the run has."""
    made = {
        f"{name}.svg": line_chart(title, below, curve, log=log)
        for name, (title, below, log) in CURVES.items()
        if any((curve := run.curves.get(name, {})).values())
    }
    idle = {name: median(each.values) for name, each in run.figures_of("P2").items() if each.values}
    if idle:
        title, below = "PSS, idle, 16 slots each (prefork: 4), MiB", "process trees"
        made["fleet.svg"] = bar_chart(title, below, {name.removeprefix("idle "): mib for name, mib in idle.items()})
    return made


def _verdict(measure: Measure) -> str:
    reached = measure.verdict is Verdict.MET and all(each.stretch_met in (None, True) for each in measure.figures)
    return f"{measure.verdict}, stretch too" if reached else measure.verdict


def _number(values: tuple[float, ...]) -> str:
    return f"{median(values):.3g}" if values else "-"
