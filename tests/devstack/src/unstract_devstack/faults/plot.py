"""The plot of recovery times: the share of executions that had ended, over the seconds that they took."""

from collections.abc import Sequence

from unstract_devstack.charts import COLOURS, Axis, Frame


def recovery_plot(seconds: Sequence[float], title: str) -> str:
    """The SVG of the share of executions over the seconds that they took; empty without any."""
    ordered = sorted(seconds)
    longest = max(ordered, default=0.0) or 1.0
    across, up = Axis(0.0, longest, "{:.1f}".format), Axis(0.0, 1.0, "{:.0%}".format)
    frame = Frame(title, "seconds from the last fault to the end of the execution", across, up)
    return frame.around([_curve(frame, ordered)])


def _curve(frame: Frame, ordered: Sequence[float]) -> str:
    path = [f"M{frame.x(0):.1f} {frame.y(0):.1f}"]
    for number, seconds in enumerate(ordered, start=1):
        path.append(f"H{frame.x(seconds):.1f}V{frame.y(number / len(ordered)):.1f}")
    return f'<path d="{"".join(path)}" fill="none" stroke="{COLOURS[0]}" stroke-width="2"/>'
