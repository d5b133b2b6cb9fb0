"""Pieces of SVG: text, path, dot, hatched area, and a straight scale. Text is escaped here and nowhere else."""

from collections.abc import Iterable
from dataclasses import dataclass
from html import escape


def text(x: float, y: float, text: str, style: str = "") -> str:
    """Return text at a point."""
    styled = f' class="{style}"' if style else ""
    return f'<text{styled} x="{x:.1f}" y="{y:.1f}">{escape(text)}</text>'


def path(style: str, d: str) -> str:
    """Return a path of a class."""
    return f'<path class="{style}" d="{d}"/>'


def hatch(x: float, y: float, width: float, height: float) -> str:
    """Return the hatched area that a limit forbids."""
    return f'<rect class="hatched" x="{x:.1f}" y="{y:.1f}" width="{max(width, 0):.1f}" height="{height:.1f}"/>'


def dot(style: str, x: float, y: float, r: float) -> str:
    """Return a circle."""
    return f'<circle class="{style}" cx="{x:.1f}" cy="{y:.1f}" r="{r}"/>'


def svg(width: int, height: int, label: str, parts: Iterable[str]) -> str:
    """Return the whole chart; ``label`` states its finding for those who do not see it."""
    head = f'<svg class="chart" width="{width}" height="{height}" viewBox="0 0 {width} {height}" role="img"'
    return f'{head} aria-label="{escape(label)}">{"".join(parts)}</svg>'


@dataclass(frozen=True)
class Scale:
    """A straight scale from numbers to pixels; what lies outside is drawn at the edge."""

    low: float
    high: float
    left: float
    right: float

    def x(self, value: float) -> float:
        """Return the pixel of a number."""
        share = (value - self.low) / ((self.high - self.low) or 1.0)
        return self.left + min(max(share, 0.0), 1.0) * (self.right - self.left)
