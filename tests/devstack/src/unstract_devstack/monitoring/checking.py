"""The checks: promtool on configuration, rules and their cases; every expression; every name of a metric."""

import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from unstract_devstack.monitoring.queries import MONITORING, Query, all_queries

CORE_PAGE = MONITORING.parents[1] / "packages" / "unstract-worker-core" / "README.md"
_ROW = re.compile(r"^\| `(?P<name>\w+)` \| (?P<kind>counter|gauge|histogram) \|", re.MULTILINE)
# Made by Prometheus itself for every target.
_OF_PROMETHEUS = frozenset({"up"})


class MonitoringFault(Exception):
    """Something in docker/monitoring does not hold; the message says what and where."""


def check(folder: Path = MONITORING) -> Iterator[str]:
    """Check everything; what was found to be right, one line each.

    Raises:
        MonitoringFault: at the first thing that does not hold, or without promtool.
    """
    promtool = shutil.which("promtool")
    if promtool is None:
        raise MonitoringFault("promtool is not there: Debian's package `prometheus` has it, as has every release of it")
    for arguments in (("check", "config", "prometheus.yml"), ("test", "rules", "rules.test.yml")):
        _run(promtool, folder, *arguments)
        yield f"promtool {' '.join(arguments)}"
    queries = all_queries(folder)
    _check_expressions(promtool, queries)
    yield f"{len(queries)} expressions of rules and dashboards are PromQL"
    names = documented_metrics(CORE_PAGE.read_text(encoding="utf-8"))
    unknown = [f"{query.where}: {name}" for query in queries for name in sorted(query.metrics - names - _OF_PROMETHEUS)]
    if unknown:
        raise MonitoringFault("no worker exports these:\n  " + "\n  ".join(unknown))
    asked = {name for query in queries for name in query.metrics}
    yield f"the {len(asked)} metrics that they ask for are in core's list"


def documented_metrics(page: str) -> frozenset[str]:
    """The names that can be queried by core's list; of a histogram its three series."""
    names: set[str] = set()
    for row in _ROW.finditer(page):
        series = ("_bucket", "_sum", "_count") if row["kind"] == "histogram" else ("",)
        names.update(row["name"] + suffix for suffix in series)
    return frozenset(names)


def _check_expressions(promtool: str, queries: Iterable[Query]) -> None:
    """Dashboards are not promtool's business: their expressions are checked as the rules of a file made here."""
    rules = [{"record": f"checked:query:{number}", "expr": query.expression} for number, query in enumerate(queries)]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "expressions.yml"
        file.write_text(json.dumps({"groups": [{"name": "expressions", "rules": rules}]}), encoding="utf-8")
        _run(promtool, file.parent, "check", "rules", file.name)


def _run(promtool: str, folder: Path, *arguments: str) -> None:
    done = subprocess.run((promtool, *arguments), cwd=folder, capture_output=True, text=True, check=False, timeout=60)
    if done.returncode != 0:
        raise MonitoringFault(f"promtool {' '.join(arguments)} fails:\n{done.stdout}{done.stderr}")
