"""The graph of a model's way as SVG, laid out here: a lane for each part of a model's life, stations below each other.

A layered layout of five lanes is a table; so no library draws it. Lines run right and down, in the space between the
boxes: out of a box to the right, down or up between two lanes, and into the next one from the left; within a lane from
box to box, or along its left side where others lie between, each source on a track of its own.
"""

from collections.abc import Iterator
from html import escape

from governance.lineage.graph import Node
from governance.lineage.way import STATIONS, Station, Way

LANE, GAP, INSET, BOX, TALL, STEP, TOP = 208, 12, 28, 168, 54, 78, 32
"""Width of a lane, space between lanes, space left of a box, its width and height, distance of boxes, where the first
begins."""

TRACKS, TRACK = 4, 5
"""How many lines run side by side left of the boxes, and how far apart."""

CHARACTERS = 24
"""Of a title that fit into a box."""

MARKS = {"pass": "pass", "warn": "warn", "block": "block"}


def drawing(way: Way) -> str:
    """Return the graph; every box links to ``#n<number>``, its place in ``way.nodes``."""
    places = _places(way)
    rows = max(row for _, row in places.values()) + 1
    lanes = list(dict.fromkeys(lane for lane, _ in STATIONS.values()))
    width, height = len(lanes) * (LANE + GAP) - GAP + 1, TOP + rows * STEP
    label = escape(f"Lineage of {way.model.model} {way.version}, from raw data to what was decided")
    parts = [
        f'<svg class="chart" width="{width}" height="{height}" viewBox="0 0 {width} {height}" role="group" '
        f'aria-label="{label}">'
    ]
    for number, lane in enumerate(lanes):
        x = number * (LANE + GAP)
        parts.append(f'<rect class="lane" x="{x + 0.5}" y=".5" width="{LANE}" height="{height - 1}" rx="6"/>')
        parts.append(f'<text class="t-m t-b" x="{x + 10}" y="21">{lane}</text>')
    numbers = {station.node: number for number, station in enumerate(way.nodes)}
    parts += [_edge(source, target, places, numbers) for source, target in way.edges]
    parts += [_box(station, places[station.node], number) for number, station in enumerate(way.nodes)]
    return "".join([*parts, "</svg>"])


def _places(way: Way) -> dict[Node, tuple[int, int]]:
    """Return lane and row of each station; a station stands no higher than the first one that it comes from."""
    lanes = list(dict.fromkeys(lane for lane, _ in STATIONS.values()))
    free = [0] * len(lanes)
    places: dict[Node, tuple[int, int]] = {}
    for station in way.nodes:
        lane = lanes.index(station.lane)
        places[station.node] = (lane, free[lane])
        free[lane] += 1
    return places


def _box(station: Station, place: tuple[int, int], number: int) -> str:
    x, y = _corner(place)
    third = station.node.version[:8] if station.node.is_ours else dict(station.facts).get("Size", "")
    third = third if third not in station.title else (f"{station.at:%d %b %Y}" if station.at else "")
    mark = MARKS.get(station.state)
    corner = f'x="{x + BOX - 22}" y="{y + 6}" width="15" height="15"'
    sign = f'<svg {corner} class="i tone-{mark}"><use href="#{mark}"/></svg>'
    said = escape(", ".join(part for part in (station.kind, station.title, third, station.state) if part))
    return (
        f'<a class="node" href="#n{number}" aria-label="{said}"><title>{said}</title>'
        f'<rect x="{x}" y="{y}" width="{BOX}" height="{TALL}" rx="4"/>'
        f'<text class="t-m t-s" x="{x + 9}" y="{y + 15}">{escape(station.kind)}</text>'
        f'<text class="t-b" x="{x + 9}" y="{y + 31}">{escape(_cut(station.title))}</text>'
        f'<text class="t-m t-s" x="{x + 9}" y="{y + 46}">{escape(_cut(third))}</text>{sign if mark else ""}</a>'
    )


def _edge(source: Node, target: Node, places: dict[Node, tuple[int, int]], numbers: dict[Node, int]) -> str:
    kind = "edge apart" if source.what == "protected" else "edge"
    path, arrow = _line(places[source], places[target])
    ends = f"{numbers[source]} {numbers[target]}"
    return f'<g data-e="{ends}"><path class="{kind}" d="{path}"/><path class="arrow" {arrow} d="M0 0l-7-3.5v7z"/></g>'


def _line(source: tuple[int, int], target: tuple[int, int]) -> tuple[str, str]:
    (x, y), (to_x, to_y) = _corner(source), _corner(target)
    if source[0] == target[0] and target[1] == source[1] + 1:  # the next one below
        middle = x + BOX / 2
        return f"M{middle} {y + TALL}V{to_y - 3}", f'transform="translate({middle} {to_y}) rotate(90)"'
    if source[0] == target[0]:  # along the left side, past those between
        track = TRACK * (1 + source[1] % TRACKS)
        return f"M{x} {y + 34}h-{track}V{to_y + 20}h{track - 3}", f'transform="translate({to_x} {to_y + 20})"'
    beside, level = to_x - INSET - GAP / 2, to_y + TALL / 2
    start = y + TALL / 2
    if target[0] == source[0] + 1 or source[1] == target[1] == 0:
        return f"M{x + BOX} {start}H{beside}V{level}H{to_x - 3}", f'transform="translate({to_x} {level})"'
    first, under = x - INSET + LANE + GAP / 2, max(y, to_y) - 12  # over a lane, between two rows
    if target[0] < source[0]:  # back: beside the lines that go on, not on them
        first, beside = x + BOX + 6, beside + 12
    path = f"M{x + BOX} {start}H{first}V{under}H{beside}V{level}H{to_x - 3}"
    return path, f'transform="translate({to_x} {level})"'


def _corner(place: tuple[int, int]) -> tuple[int, int]:
    return place[0] * (LANE + GAP) + INSET, TOP + place[1] * STEP


def _cut(text: str) -> str:
    return text if len(text) <= CHARACTERS else f"{text[: CHARACTERS - 1]}…"


def columns_of(way: Way) -> Iterator[tuple[str, list[str]]]:
    """Yield each column of the model with what it is made of, the farthest first."""
    for name in sorted(way.columns):
        yield name, list(reversed(way.columns[name]))
