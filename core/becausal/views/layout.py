"""How what is shown fits a screen: lines that go on under themselves, two forms by width, ways cut in the middle."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from becausal.views.clean import cut, styled

__all__ = ["FEW", "MANY", "NARROW", "ByWidth", "Way", "Whole", "by_width", "ends_of", "hanging", "table_of"]

NARROW: Final = 80
"""Columns of a screen on which a table of many columns shows something in each of them."""

LEAST: Final = {"run": 8, "step": 8, "edge": 8, "grade": 8, "took": 7}
"""Columns that say nothing once they are cut."""

FEW: Final = (8, 4)
MANY: Final = (12, 12)
"""So many of the first and of the last steps of a longer way are shown: in a line, and each in a line of its own."""


WIDEST: Final = 100_000
"""Columns that no screen has."""

LEAST_NAME: Final = 8
"""Columns that a name on a way takes at least, or it says nothing."""
UNDER: Final = 2
"""Columns by which the names begin further right where what comes before them takes a line of its own."""


def hanging(said: RenderableType, indent: int = 2) -> RenderableType:
    """Return a text whose lines all begin below each other."""
    return _Hanging(said, indent)


def ends_of(length: int, most: tuple[int, int], *, whole: bool) -> tuple[range, int, range]:
    """Return which of so many things to show first, how many to leave out then, and which to show last.

    Args:
        length: how many there are.
        most: how many of the first and of the last ones are shown where they are more.
        whole: whether all are shown all the same.
    """
    first, last = most
    if whole or length <= first + last + 1:  # a line that says that one is left out is as long as that one
        return range(length), 0, range(length, length)
    return range(first), length - first - last, range(length - last, length)


def table_of(
    *columns: str,
    gives_way: Collection[str] = (),
    least: Mapping[str, int] | None = None,
    title: str | None = None,
) -> Table:
    """Return a table whose cells never wrap, still without a row.

    Args:
        columns: their headers.
        gives_way: columns that are cut first where the screen is too narrow.
        least: columns of the screen that a column takes at least, where that is more than usual.
        title: stands above it.
    """
    table = Table(box=None, pad_edge=False, header_style="dim", title_justify="left", title_style="bold")
    table.title = styled(title, "bold") if title else None
    for column in columns:
        # To rich, what may wrap gives way first; the texts themselves never wrap.
        wide = (least or {}).get(column) or (None if column in gives_way else LEAST.get(column))
        table.add_column(column, no_wrap=column not in gives_way, overflow="ellipsis", min_width=wide)
    return table


def by_width(table: Table) -> RenderableType:
    """Return a table; on a narrow screen, each row in lines of its own, its columns named, with nothing cut."""
    return ByWidth(lambda: table, lambda: _in_lines(table))


def _in_lines(table: Table) -> RenderableType:
    lines: list[RenderableType] = [] if table.title is None else [table.title]
    names = [f"{column.header} " for column in table.columns]
    for first, second, *rest in zip(*(column.cells for column in table.columns), strict=True):
        lines.append(Text.assemble(_said(first), "  ", _said(second)))
        told = [(name, _said(cell)) for name, cell in zip(names[2:], rest, strict=True)]
        parts = [Text.assemble((name, "dim"), said) for name, said in told if said.plain]
        lines.append(hanging(Text("  ").join(parts)))
    return Group(*lines)


def _said(cell: RenderableType) -> Text:
    return cell if isinstance(cell, Text) else Text(str(cell))


@dataclass(frozen=True, slots=True)
class ByWidth:
    """One of two forms, by the width of the screen; only that one is made."""

    wide: Callable[[], RenderableType]
    narrow: Callable[[], RenderableType]
    least: int = NARROW
    """Columns that the wide one takes."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield self.wide() if options.max_width >= self.least else self.narrow()


@dataclass(frozen=True, slots=True)
class Whole:
    """A table where nothing in it is cut, else what says the same in lines that go on below."""

    table: Table
    lines: RenderableType

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        wide = console.measure(self.table, options=options.update(max_width=WIDEST)).maximum
        yield self.table if wide <= options.max_width else self.lines


@dataclass(frozen=True, slots=True)
class _Hanging:
    """A text that begins below others further right; of one that takes a single line only that line is made."""

    said: RenderableType
    indent: int

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        said, room = self.said, options.max_width - self.indent
        if isinstance(said, Text) and not _BREAKS & {*said.plain} and cell_len(said.plain) <= room:
            yield Text.assemble(" " * self.indent, said)
            return
        yield Padding(said, (0, 0, 0, self.indent), expand=False)


_BREAKS: Final = frozenset("\n\t")


@dataclass(frozen=True, slots=True)
class Way:
    """The names on a way, in as few lines as they take; no name is broken, and a long way is cut in the middle."""

    names: Sequence[object]
    sign: str = "  >  "
    """Stands between two of them, and before those that go on in another line."""
    before: str = ""
    """What the line begins with."""
    style: str = "dim"
    whole: bool = False
    """Whether all are shown, however many."""
    said: Callable[[Any], str] = str
    """Says what each of them is called; asked of those alone that are shown."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        return (styled(line, self.style) for line in self._lines(options.max_width))

    def _lines(self, width: int) -> Iterator[str]:
        line, is_empty, indent = self.before, True, cell_len(self.before)
        if width - indent - len(self.sign) < LEAST_NAME:
            yield line
            line = " " * UNDER
            indent = UNDER
        for name in self._shown():
            piece = cut(name, max(width - indent - len(self.sign), LEAST_NAME))
            longer = f"{line}{piece}" if is_empty else f"{line}{self.sign}{piece}"
            if cell_len(longer) > width and not is_empty:
                yield line
                longer = f"{' ' * indent}{self.sign.lstrip()}{piece}"
            line, is_empty = longer, False
        yield line

    def _shown(self) -> Iterable[str]:
        first, left_out, last = ends_of(len(self.names), FEW, whole=self.whole)
        yield from (self.said(self.names[place]) for place in first)
        if left_out:
            yield f"… {left_out:,} more (--full) …"
        yield from (self.said(self.names[place]) for place in last)
