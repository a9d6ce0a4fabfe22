"""A small SVG plot of recovery times: each point is an execution, the line the share that had ended by then."""

from collections.abc import Sequence
from xml.sax.saxutils import escape

__all__ = ["recovery_plot"]

WIDTH, HEIGHT = 640, 300
LEFT, RIGHT, TOP, BOTTOM = 56, 16, 34, 46
LINES = 5


def recovery_plot(seconds: Sequence[float], title: str) -> str:
    """The SVG of the share of executions over the seconds that they took; empty without any."""
    ordered = sorted(seconds)
    longest = max(ordered, default=0.0) or 1.0
    middle = (LEFT + WIDTH - RIGHT) / 2
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" '
        f'font-size="12"><title>{escape(title)}</title><rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>'
    )
    foot = (
        f'<text x="{middle}" y="{HEIGHT - 8}" text-anchor="middle" fill="#444444">'
        "seconds from the last fault to the end of the execution</text></svg>\n"
    )
    name = f'<text x="{LEFT}" y="20" fill="#222222">{escape(title)}</text>'
    return "\n".join([head, name, *_grid(longest), _curve(ordered, longest), foot])


def _x(seconds: float, longest: float) -> float:
    return LEFT + (WIDTH - LEFT - RIGHT) * seconds / longest


def _y(share: float) -> float:
    return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * share


def _grid(longest: float) -> list[str]:
    lines = []
    for number in range(LINES):
        share = number / (LINES - 1)
        x, y = _x(share * longest, longest), _y(share)
        lines.append(f'<path d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}" stroke="#dddddd"/>')
        lines.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end" fill="#444444">{share:.0%}</text>')
        y = HEIGHT - BOTTOM + 18
        lines.append(f'<text x="{x:.1f}" y="{y}" text-anchor="middle" fill="#444444">{share * longest:.1f}</text>')
    return lines


def _curve(ordered: Sequence[float], longest: float) -> str:
    path = [f"M{_x(0, longest):.1f} {_y(0):.1f}"]
    for number, seconds in enumerate(ordered, start=1):
        path.append(f"H{_x(seconds, longest):.1f}V{_y(number / len(ordered)):.1f}")
    return f'<path d="{"".join(path)}" fill="none" stroke="#1f6f8b" stroke-width="2"/>'
