"""Small SVG charts for generated pages: a frame with a title and a grid, lines over x, bars.

They are committed beside the page, so they are text that hardly changes where the figures do not.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
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


def line_chart(title: str, below: str, lines: Mapping[str, Points], *, log: bool = False) -> str:
    """Lines with a dot at each of a few points, named at the top right. `log`: the lower axis is logarithmic."""
    points = [point for line in lines.values() for point in line] or [(1.0, 1.0)]
    across = Axis(min(x for x, _ in points) if log else 0.0, max(x for x, _ in points), log=log)
    up = Axis(0.0, _rounded_up(max(y for _, y in points)))
    drawn = [_text(_x(across, each), HEIGHT - BOTTOM + 18, f"{each:g}", "middle") for each in across.ticks]
    for number, (name, line) in enumerate(lines.items()):
        colour = COLOURS[number % len(COLOURS)]
        places = [f"{_x(across, x):.1f} {_y(up, y):.1f}" for x, y in line]
        drawn.append(f'<path d="M{"L".join(places)}" fill="none" stroke="{colour}" stroke-width="2"/>')
        if len(line) <= MOST_DOTS:
            dots = ((_x(across, x), _y(up, y)) for x, y in line)
            drawn += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in dots]
        drawn.append(_text(WIDTH - RIGHT - 6, TOP + 12 + 16 * number, name, "end", colour))
    return _framed(title, below, up, drawn)


def bar_chart(title: str, below: str, bars: Mapping[str, float]) -> str:
    """One bar a name, its value above it."""
    up = Axis(0.0, _rounded_up(max(bars.values(), default=1.0)))
    step = (WIDTH - LEFT - RIGHT) / max(1, len(bars))
    drawn: list[str] = []
    for number, (name, value) in enumerate(bars.items()):
        x, y = LEFT + step * number, _y(up, value)
        size = f'width="{step * 0.6:.1f}" height="{_y(up, 0) - y:.1f}"'
        drawn.append(f'<rect x="{x + step * 0.2:.1f}" y="{y:.1f}" {size} fill="{COLOURS[0]}"/>')
        drawn.append(_text(x + step / 2, y - 4, f"{value:.4g}", "middle"))
        drawn.append(_text(x + step / 2, HEIGHT - BOTTOM + 16, name, "middle"))
    return _framed(title, below, up, drawn)


def _x(axis: Axis, value: float) -> float:
    return LEFT + (WIDTH - LEFT - RIGHT) * axis.share(value)


def _y(axis: Axis, value: float) -> float:
    return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * axis.share(value)


def _text(x: float, y: float, text: str, anchor: str, colour: str = "#444444") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}">{escape(text)}</text>'


def _framed(title: str, below: str, up: Axis, drawn: Sequence[str]) -> str:
    """The chart with this inside, over a grid."""
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" '
        f'font-size="12"><title>{escape(title)}</title><rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>'
    )
    foot = _text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 8, below, "middle")
    return "\n".join([head, _text(LEFT, 20, title, "start", "#222222"), *_grid(up), *drawn, foot, "</svg>\n"])


def _grid(up: Axis) -> Iterator[str]:
    for value in up.ticks:
        yield f'<path d="M{LEFT} {_y(up, value):.1f}H{WIDTH - RIGHT}" stroke="#dddddd"/>'
        yield _text(LEFT - 8, _y(up, value) + 4, f"{value:g}", "end")


def _rounded_up(value: float) -> float:
    """The next of 1, 2, 4, 6, 8 times a power of ten: quarters of it are easy to read."""
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 4, 6, 8, 10) if value <= step * power * (1 + 1e-9))
