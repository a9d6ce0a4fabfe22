"""Small SVG charts for generated pages: a frame with a title and a grid, lines over x, bars.

They are committed beside the page, so they are text that hardly changes where the figures do not.
"""

import math
from collections.abc import Mapping, Sequence
from xml.sax.saxutils import escape

from attrs import frozen

WIDTH, HEIGHT = 640, 300
LEFT, RIGHT, TOP, BOTTOM = 56, 16, 34, 46
LINES = 5
MOST_DOTS = 40
# Told apart also by people who do not see all colours.
COLOURS = ("#1f6f8b", "#d1741f", "#5a9e4b", "#8a5fa8")
Points = Sequence[tuple[float, float]]


@frozen
class Axis:
    """One direction: the values at its ends. `log`: equal factors, equal steps."""

    least: float
    most: float
    log: bool = False

    def share(self, value: float) -> float:
        """Where a value lies, 0 to 1."""
        low, high, here = (math.log(each) if self.log else each for each in (self.least, self.most, value))
        return (here - low) / (high - low) if high > low else 0.0

    @property
    def ticks(self) -> tuple[float, ...]:
        """Where grid lines go: at powers of ten, or five at equal distances."""
        if self.log:
            powers = range(math.ceil(math.log10(self.least)), math.floor(math.log10(self.most)) + 1)
            return tuple(float(10**power) for power in powers)
        return tuple(self.least + (self.most - self.least) * number / (LINES - 1) for number in range(LINES))


@frozen
class Frame:
    """The frame of a chart: turns values into places, and draws everything but the data."""

    title: str
    below: str
    across: Axis
    up: Axis

    def x(self, value: float) -> float:
        """The place of a value from the left."""
        return LEFT + (WIDTH - LEFT - RIGHT) * self.across.share(value)

    def y(self, value: float) -> float:
        """The place of a value from the top."""
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * self.up.share(value)

    def around(self, drawn: Sequence[str], *, numbered: bool = True) -> str:
        """The chart with this inside; `numbered`: the lower axis shows its ticks."""
        middle = (LEFT + WIDTH - RIGHT) / 2
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" '
            f'font-size="12"><title>{escape(self.title)}</title>'
            f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>'
        )
        name = f'<text x="{LEFT}" y="20" fill="#222222">{escape(self.title)}</text>'
        foot = f'<text x="{middle}" y="{HEIGHT - 8}" text-anchor="middle" fill="#444444">{escape(self.below)}</text></svg>\n'
        return "\n".join([head, name, *self._grid(numbered=numbered), *drawn, foot])

    def _grid(self, *, numbered: bool) -> list[str]:
        lines = []
        for value in self.up.ticks:
            y, label = self.y(value), f"{value:g}"
            lines.append(f'<path d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}" stroke="#dddddd"/>')
            lines.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end" fill="#444444">{label}</text>')
        for value in self.across.ticks if numbered else ():
            x, y, label = self.x(value), HEIGHT - BOTTOM + 18, f"{value:g}"
            lines.append(f'<text x="{x:.1f}" y="{y}" text-anchor="middle" fill="#444444">{label}</text>')
        return lines


def line_chart(title: str, below: str, lines: Mapping[str, Points], *, log: bool = False) -> str:
    """Lines with a dot at each of a few points, named at the top right. `log`: the lower axis is logarithmic."""
    points = [point for line in lines.values() for point in line]
    longest = max((x for x, _ in points), default=1.0)
    least = min((x for x, _ in points), default=1.0) if log else 0.0
    frame = Frame(
        title, below, Axis(least, longest, log=log), Axis(0.0, _rounded_up(max((y for _, y in points), default=1.0)))
    )
    drawn: list[str] = []
    for number, (name, line) in enumerate(lines.items()):
        colour = COLOURS[number % len(COLOURS)]
        places = [(frame.x(x), frame.y(y)) for x, y in line]
        path = "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
        drawn.append(f'<path d="M{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        if len(places) <= MOST_DOTS:
            drawn += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in places]
        where = f'x="{WIDTH - RIGHT - 6}" y="{TOP + 12 + 16 * number}" text-anchor="end"'
        drawn.append(f'<text {where} fill="{colour}">{escape(name)}</text>')
    return frame.around(drawn)


def bar_chart(title: str, below: str, bars: Mapping[str, float]) -> str:
    """One bar a name, its value above it."""
    frame = Frame(title, below, Axis(0.0, 1.0), Axis(0.0, _rounded_up(max(bars.values(), default=1.0))))
    step = (WIDTH - LEFT - RIGHT) / max(1, len(bars))
    drawn: list[str] = []
    for number, (name, value) in enumerate(bars.items()):
        x, y = LEFT + step * number, frame.y(value)
        size = f'width="{step * 0.6:.1f}" height="{frame.y(0) - y:.1f}"'
        drawn.append(f'<rect x="{x + step * 0.2:.1f}" y="{y:.1f}" {size} fill="{COLOURS[0]}"/>')
        middle = f'x="{x + step / 2:.1f}" text-anchor="middle" fill="#444444"'
        drawn.append(f'<text {middle} y="{y - 4:.1f}">{value:.4g}</text>')
        drawn.append(f'<text {middle} y="{HEIGHT - BOTTOM + 16}" font-size="9">{escape(name)}</text>')
    return frame.around(drawn, numbered=False)


def _rounded_up(value: float) -> float:
    """The next of 1, 2, 4, 6, 8 times a power of ten: quarters of it are easy to read."""
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 4, 6, 8, 10) if value <= step * power * (1 + 1e-9))
