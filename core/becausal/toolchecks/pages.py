"""One page of several."""

from __future__ import annotations

import re
from collections.abc import Mapping

from becausal.graph import Graph
from becausal.toolchecks.breach import Breach
from becausal.toolchecks.reading import Calls, Reading, items_of, text_at

__all__ = ["partial"]

MORE = ("has_more", "hasmore", "has_next", "has_next_page", "hasnextpage", "more", "more_results", "incomplete",
        "incomplete_results", "partial", "is_partial")  # fmt: skip
NEXT = ("next", "next_page", "nextpage", "next_cursor", "next_page_token", "nextpagetoken", "next_url", "next_token",
        "continuation", "continuation_token", "cursor_next", "offset_next")  # fmt: skip
TOTAL = ("total", "total_count", "totalcount", "total_results", "totalresults", "num_results", "num_found",
         "count_total", "total_items", "total_hits", "hits_total", "count")  # fmt: skip
PAGES = ("pages", "total_pages", "totalpages", "page_count", "num_pages", "last_page")
ASKED_FOR_SO_MANY = ("limit", "top_k", "topk", "k", "n", "max_results", "num_results", "page_size", "pagesize",
                     "per_page", "size", "count", "top", "first", "max")  # fmt: skip
SHOWING = re.compile(
    r"\b(?:showing|displaying|results?|rows?|items?|records?)\s+(?:\d+\s*(?:-|–|to)\s*)?(\d[\d,]*)\s+(?:out\s+)?of\s+"  # noqa: RUF001
    r"(?:about\s+|over\s+)?(\d[\d,]*)\b|\bpage\s+(\d+)\s+(?:out\s+)?of\s+(\d+)\b",
    re.IGNORECASE,
)


def partial(reading: Reading, calls: Calls, _: Graph) -> Breach | None:
    """One page of several, where the caller did not ask for so many and nobody fetched the rest."""
    if not reading.is_answered or reading.call.step.status == "error":
        return None
    data = reading.data
    shown = _more_in(data) if isinstance(data, Mapping) else _more_in_text(data)
    if shown is None or _asked_for_so_many(reading, data):
        return None
    said = f"{reading.call.name} answered with a part of what there is"
    return reading.breach("tool.partial", said, 0.9, shown, is_mended=_rest_was_fetched(reading, calls))


def _more_in(data: Mapping[object, object]) -> str | None:
    for one in (data, *(value for value in data.values() if isinstance(value, Mapping))):
        flag, following = text_at(one, *MORE), text_at(one, *NEXT)
        if flag is not None and flag[1] is True:
            return f"{flag[0]}: true"
        if following is not None and following[1] not in (None, "", False, 0):
            return f"{following[0]}: {following[1]}"[:120]
        page, pages = text_at(one, "page", "current_page", "page_number"), text_at(one, *PAGES)
        if page and pages and _is_count(page[1]) and _is_count(pages[1]):
            if int(str(page[1])) < int(str(pages[1])):
                return f"{page[0]}: {page[1]}, {pages[0]}: {pages[1]}"
            continue  # the last one
        total, items = text_at(one, *TOTAL), items_of(data)
        if total and items is not None and _is_count(total[1]) and 0 < len(items) < int(str(total[1])):
            return f"{total[0]}: {total[1]}, items: {len(items)}"
    return None


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _more_in_text(data: object) -> str | None:
    if not isinstance(data, str):
        return None
    for found in SHOWING.finditer(data[:2000] + "\n" + data[-500:]):
        shown, total = (found[1], found[2]) if found[1] else (found[3], found[4])
        if int(shown.replace(",", "")) < int(total.replace(",", "")):
            return found[0]
    return None


def _asked_for_so_many(reading: Reading, data: object) -> bool:
    items = items_of(data)
    limit = next(
        (reading.arguments[name] for name in reading.arguments if name.lower() in ASKED_FOR_SO_MANY), None
    )
    return items is not None and _is_count(limit) and len(items) >= int(str(limit))


def _rest_was_fetched(reading: Reading, calls: Calls) -> bool:
    """Return whether a later call of the tool answered without more to come, or all of them together are enough."""
    later = [r for r in calls.after(reading) if r.is_answered and r.call.step.status == "ok"]
    if any(isinstance(r.data, Mapping) and _more_in(r.data) is None and items_of(r.data) for r in later):
        return True
    data = reading.data
    total = text_at(data, *TOTAL) if isinstance(data, Mapping) else None
    there = sum(len(items_of(r.data) or ()) for r in (reading, *later))
    return total is not None and _is_count(total[1]) and there >= int(str(total[1]))
