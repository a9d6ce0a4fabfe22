"""The two pages, each as fragments: a fragment is one element with an id, rendered again and swapped as a whole.

Everything that is put into a template is escaped; nothing that is shown is trusted.
"""

import contextlib
import json
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any
from urllib.parse import urlencode

from attrs import frozen
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from unstract_devstack.page.events import effect_events, execution_events, hooks
from unstract_devstack.page.sources import Sources

# What a status means, whatever it is a status of. An unknown one is shown plainly.
TONES = {
    "bad": "ERROR FAILURE FAILED DEAD",
    "good": "COMPLETED SUCCESS DONE RUNNING",
    "busy": "EXECUTING INPROGRESS QUEUED READY ARMED RESTARTING",
    "halted": "STOPPED PAUSED WARN WARNING",
}
PER_PAGE = 50
RUNS, HOOKS, LETTERS = 25, 8, 5
FILES, EVENTS, BATCHES = 200, 400, 50
RESULT_CHARACTERS = 200_000


@frozen
class View:
    """What a page shows now: its title, its path, and its fragments by id, as HTML. `live`: they may change."""

    title: str
    path: str
    fragments: Mapping[str, str]
    live: bool = True
    search: str = ""


def overview(sources: Sources, before: int | None = None, search: str = "") -> View:
    """The newest executions (or those before a number, or those found), open runs, webhooks and workers."""
    lines = sources.backend.executions(before=before, limit=PER_PAGE + 1, search=search)
    counts = sources.backend.counts()
    shown, now = lines[:PER_PAGE], time.time()
    asked = {"q": search} if search else {}
    arrived = list(hooks(sources.deliveries()))
    fragments = {
        "totals": render("totals.html", counts=counts, total=sum(counts.values())),
        "executions": render(
            "executions.html",
            lines=shown,
            now=now,
            before=before,
            search=search,
            older=urlencode(asked | {"before": shown[-1]["number"]}) if lines[PER_PAGE:] else None,
        ),
        "ledger": render("ledger.html", state=sources.ledger.state(limit=RUNS, letters=LETTERS), now=now),
        "webhooks": render("webhooks.html", hooks=arrived[: -HOOKS - 1 : -1], total=len(arrived)),
        "workers": render("workers.html", workers=sources.workers()),
    }
    query = urlencode(asked | ({} if before is None else {"before": before}))
    return View("Executions", f"/?{query}" if query else "/", fragments, search=search)


def execution_view(sources: Sources, execution_id: str) -> View | None:
    """One execution: its files, its run in the ledger, what happened; None where the backend does not know it."""
    line = sources.backend.execution(execution_id)
    if line is None:
        return None
    files = sources.backend.files(execution_id, limit=FILES)
    count = len(files) if len(files) < FILES else sources.backend.file_count(execution_id)
    effects = sources.backend.effects(execution_id, limit=EVENTS)
    names = {file["id"]: file["name"] for file in files}
    now = time.time()
    run = sources.ledger.run(execution_id, batches=BATCHES)
    events = execution_events(sources, line, effects)[-EVENTS:]
    fragments = {
        "execution": render("execution.html", line=line, now=now, actions=sources.actions),
        "files": render("files.html", line=line, files=files, count=count),
        "run": render("run.html", run=run, now=now),
        "events": render("events.html", events=events, effects=effect_events(effects, names)),
    }
    return View(f"{line['title']} {execution_id[:8]}", f"/executions/{execution_id}", fragments)


def result_view(sources: Sources, execution_id: str, file_id: str) -> View | None:
    """The result of one file as JSON; None where there is none."""
    text = sources.backend.result(execution_id, file_id)
    if text is None:
        return None
    file = next((each for each in sources.backend.files(execution_id, limit=FILES) if each["id"] == file_id), None)
    name = file["name"] if file else file_id
    with contextlib.suppress(ValueError):
        text = json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    path = f"/executions/{execution_id}/files/{file_id}"
    cut = len(text) > RESULT_CHARACTERS
    html = render("result.html", name=name, path=path, text=text[:RESULT_CHARACTERS], cut=cut, back=execution_id)
    return View(f"Result of {name}", path, {"result": html}, live=False)


def page(sources: Sources, view: View, problem: str = "") -> str:
    """The whole document of a view."""
    parts = {name: Markup(html) for name, html in view.fragments.items()}  # noqa: S704 - rendered, so escaped, above
    return render("page.html", view=view, parts=parts, sources=sources, problem=problem)


def render(template: str, /, **values: Any) -> str:
    """The template with these values."""
    return _environment().get_template(template).render(values)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("unstract_devstack.page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "clock": _clock,
        "iso": _iso,
        "seconds": _seconds,
        "tone": _tone,
        "number": "{:,}".format,
        "age": _age,
        "milliseconds": _from_milliseconds,
    }
    return environment


def _tone(status: str) -> str:
    word = status.upper()
    return next((tone for tone, words in TONES.items() if word in words.split()), "plain")


def _clock(at: float) -> str:
    return datetime.fromtimestamp(at).astimezone().strftime("%H:%M:%S")


def _iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")


def _seconds(seconds: float) -> str:
    if seconds < 10:
        return f"{seconds:.2f} s"
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def _age(seconds: float) -> str:
    """How long ago, roughly: what changes with every look makes a page restless."""
    if seconds < 60:
        return f"{max(0, int(seconds))} s"
    return f"{int(seconds // 60)} min" if seconds < 3600 else f"{int(seconds // 3600)} h"


def _from_milliseconds(milliseconds: Any) -> float | None:
    """Seconds since the epoch; None for what is no time and for 0, which the ledger writes for never."""
    try:
        return float(milliseconds) / 1000 or None
    except (TypeError, ValueError):
        return None
