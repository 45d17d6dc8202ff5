"""Figures as tables: for the terminal, and for a document between its markers.

A document says where a table belongs by two comments, `<!-- figures: NAME -->` and `<!-- end of figures -->`; what
stands between them is written anew.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from benchmarks.instrumentors import INSTRUMENTORS, version_of
from benchmarks.overhead import Overhead, Row
from benchmarks.targets import CELLS, CHAT, GROWTH, LAST_OVER_FIRST, SPAN_BYTES, Target, floor_of, ratio_of
from benchmarks.timing import exponent
from benchmarks.workloads.base import Cell

__all__ = ["aligned", "growth", "markdown", "overhead", "targets", "write"]

Table = list[list[str]]
"""Rows of cells, the head first."""


def markdown(table: Table) -> str:
    """Return a table as Markdown."""
    head, *rows = table
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def aligned(table: Table) -> str:
    """Return a table for a terminal."""
    widths = [max(len(line[column]) for line in table) for column in range(len(table[0]))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if not column else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in table
    )


def write(place: Path, sections: Mapping[str, str]) -> None:
    """Write sections between their markers in a document.

    Raises:
        ValueError: the document has no such markers.
    """
    document = place.read_text()
    for name, text in sections.items():
        pattern = rf"(<!-- figures: {re.escape(name)} -->\n).*?(<!-- end of figures -->)"
        # A function: what is written may look like a reference to a group.
        document, found = re.subn(pattern, _between(text), document, flags=re.DOTALL)
        if not found:
            raise ValueError(
                f"{place} has no place for the figures called {name!r}: "
                f"write <!-- figures: {name} --> and <!-- end of figures --> where they belong"
            )
    place.write_text(document)


def _between(text: str) -> Callable[[re.Match[str]], str]:
    return lambda markers: f"{markers[1]}{text}\n{markers[2]}"


def overhead(found: Overhead) -> list[tuple[str, Table]]:
    """Return the tables of becausal beside the others: processor time, wall time, what is sent, memory."""
    cells = [cell for cell in CELLS if any(row.cell == cell for row in found.rows)]
    rows = {(row.instrumentor, row.cell): row for row in found.rows}
    head = ["", *(cell.title for cell in cells)]
    goals = ["target", *(told(ratio_of(cell), "≤ {:g}") for cell in cells)]
    alone = ["the app alone, ms", *(told(rows["plain", cell].cpu_us / 1e3, "{:.1f}") for cell in cells)]

    def table(*first: list[str], of: Callable[[Row], str], but: tuple[str, ...] = ("plain",)) -> Table:
        lines = [head, *first]
        for name, each in INSTRUMENTORS.items():
            mine = [rows.get((name, cell)) for cell in cells]
            shown = [of(row) if row is not None and not row.failed else "" for row in mine]
            if name not in but and any(shown):
                lines.append([titled(name, each.title), *shown])
        return lines

    return [
        (
            "Processor time over that of the app alone, median (best)",
            table(alone, goals, of=lambda row: f"{row.cpu:.2f} ({row.cpu_best:.2f})"),
        ),
        (
            "Wall time over that of the app alone, median (best)",
            table(of=lambda row: f"{row.wall:.2f} ({row.wall_best:.2f})"),
        ),
        ("Processor time added to an operation, µs", table(of=lambda row: f"{row.added_us:,.0f}")),
        (
            "Spans a run, and the bytes of their attributes",
            table(of=sent, but=("plain", "control")),
        ),
        ("Memory at its most, MiB more than the app alone", table(of=lambda row: f"{row.added_mib:+.0f}")),
        ("The last flush of a turn, ms", table(of=lambda row: f"{row.flush_s * 1e3:.0f}")),
        ("Starting", starting(found)),
    ]


def starting(found: Overhead) -> Table:
    """Return what it took to import and start each instrumentor."""
    lines = [["", "seconds to import and start", "MiB"]]
    for name, started in found.setup.items():
        if name not in ("plain", "control"):
            grown = started["rss_started_mib"] - started["rss_mib"]
            title = titled(name, INSTRUMENTORS[name].title)
            lines.append([title, f"{started['setup_s']:.2f}", f"{grown:+.0f}"])
    return lines


def growth(found: Overhead) -> list[tuple[str, Table]]:
    """Return the tables of the conversation that grows, and of the long chat."""
    cells = [cell for cell in GROWTH if any(row.cell == cell for row in found.rows)]
    rows = {(row.instrumentor, row.cell): row for row in found.rows if not row.failed}
    tables = []
    if len(cells) > 1:
        head = ["", *(f"{cell.steps} steps" for cell in cells), "exponent"]
        lines = [[head[0], *head[1:]]]
        for name in dict.fromkeys(row.instrumentor for row in found.rows):
            mine = [rows.get((name, cell)) for cell in cells]
            costs = [row.cpu_us / 1e3 for row in mine if row is not None]
            if len(costs) == len(cells):
                grown = exponent([cell.steps for cell in cells], costs)
                title = titled(name, INSTRUMENTORS[name].title)
                lines.append([title, *(f"{cost:,.0f}" for cost in costs), f"{grown:.2f}"])
        tables.append(("A growing conversation: processor time of a run, ms", lines))
        tables.append(("The same: bytes of span attributes", _bytes(rows, cells)))
    for cell, what in ((Cell("growing", 1 << 10, 200), "growing conversation"), (CHAT, "AutoGen chat")):
        steps = [row for (_, of), row in rows.items() if of == cell and row.first_us]
        if steps:
            tables.append((f"A step of the {what} of {cell.steps}: early and late, µs", early_late(steps)))
    return tables


def _bytes(rows: Mapping[tuple[str, Cell], Row], cells: Sequence[Cell]) -> Table:
    lines = [["", *(f"{cell.steps} steps" for cell in cells), "exponent"]]
    for name in dict.fromkeys(name for name, _ in rows):
        sizes = [
            row.attribute_bytes for cell in cells if (row := rows.get((name, cell))) and row.attribute_bytes
        ]
        if len(sizes) == len(cells):
            grown = exponent([cell.steps for cell in cells], sizes)
            title = titled(name, INSTRUMENTORS[name].title)
            lines.append([title, *(f"{size:,.0f}" for size in sizes), f"{grown:.2f}"])
    return lines


def early_late(rows: Iterable[Row]) -> Table:
    """Return what early and late steps took."""
    lines = [["", "early", "late", "late over early", "processor time over the app alone"]]
    for row in rows:
        assert row.first_us is not None and row.last_us is not None
        title = titled(row.instrumentor, INSTRUMENTORS[row.instrumentor].title)
        shown = [f"{row.first_us:,.0f}", f"{row.last_us:,.0f}", f"{row.last_us / row.first_us:.2f}"]
        lines.append([title, *shown, f"{row.cpu:.2f}"])
    return lines


def targets(found: Overhead, others: Iterable[Target] = ()) -> Table:
    """Return becausal's figures beside what they may be at most."""
    mine = {row.cell: row for row in found.rows if row.instrumentor == "becausal" and not row.failed}
    bare = {(row.cell, row.instrumentor): row.cpu for row in found.rows if not row.failed}
    all_of_them = [
        Target(
            f"{cell.title}, processor time over the app alone",
            "",
            row.cpu,
            limit,
            floor=bare.get((cell, floor_of(cell))),
        )
        for cell, row in mine.items()
        if (limit := ratio_of(cell)) is not None
    ]
    return target_table([*all_of_them, *of_the_conversation(found), *others])


def of_the_conversation(found: Overhead) -> Iterable[Target]:
    """Return what is asked of the growing conversation beside its processor time."""
    long = Cell("growing", 1 << 10, 200)
    rows = {row.instrumentor: row for row in found.rows if row.cell == long and not row.failed}
    mine, plain, bare = rows.get("becausal"), rows.get("plain"), rows.get(floor_of(long))
    if mine is None or plain is None:
        return
    what = f"{long.title}, bytes of span attributes"
    yield Target(what, "", mine.attribute_bytes or 0, SPAN_BYTES, floor=mine.least_bytes)
    steeper = steepness(mine, plain)
    if steeper is not None:
        what = f"{long.title}, last step over first, over the same without us"
        floor = None if bare is None else steepness(bare, plain)
        yield Target(what, "", steeper, LAST_OVER_FIRST, floor=floor)


def steepness(row: Row, plain: Row) -> float | None:
    """Return how much more the last step over the first is than without us; None where that was not measured."""
    if not (row.first_us and row.last_us and plain.first_us and plain.last_us):
        return None
    return (row.last_us / row.first_us) / (plain.last_us / plain.first_us)


def target_table(them: Iterable[Target]) -> Table:
    """Return figures beside their limits."""
    lines = [["", "found", "floor", "target", "met"]]
    for one in them:
        unit = f" {one.unit}" if one.unit else ""
        limit = "" if one.limit is None else f"{'≥' if one.at_least else '≤'} {one.limit:,g}{unit}"
        floor = "" if one.floor is None else f"{_shown(one.floor)}{unit}"
        lines.append([one.what, f"{_shown(one.found)}{unit}", floor, limit, _met(one)])
    return lines


def _shown(figure: float) -> str:
    return f"{figure:,.0f}" if figure >= 1000 else f"{figure:.3g}"


def _met(one: Target) -> str:
    if one.limit is None or one.is_met:
        return "" if one.limit is None else "yes"
    return "**no**: the floor is higher" if one.is_below_floor else "**no**"


def sent(row: Row) -> str:
    """Return a run's spans and their bytes."""
    if row.attribute_bytes is None:
        return ""
    return (
        f"{row.attribute_bytes:,.0f}" if row.spans is None else f"{row.spans:.0f}; {row.attribute_bytes:,.0f}"
    )


def titled(name: str, title: str) -> str:
    """Return what a row is called: the title, and of a peer its version."""
    each = INSTRUMENTORS[name]
    version = None if each.package == "becausal" else version_of(each.package)
    return f"{title} {version}" if version else title


def told(number: float | None, form: str) -> str:
    """Return a number, or nothing where there is none."""
    return "" if number is None else form.format(number)
