"""Dates and times of day."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

from becausal.facts.fact import Found
from becausal.facts.tokens import Scan

__all__ = ["date", "date_value", "time", "time_value"]

YEARS = range(1000, 3000)


def date(scan: Scan, index: int) -> Found | None:
    """Return a date: `(2026, 5, 3)`, None for what is not said; `("weekday", 0)`; `("relative", "tomorrow")`."""
    sort = scan.classes[index]
    if sort == "isodate":
        text = scan.texts[index]
        return _checked(index + 1, int(text[:4]), int(text[5:7]), int(text[8:10]))
    if sort == "date":
        return _in_figures(scan, index)
    if sort == "number":
        return _day_first(scan, index)
    if sort == "word":
        return _from_word(scan, index)
    return None


def _from_word(scan: Scan, index: int) -> Found | None:
    word, language = scan.words[index], scan.language
    if word in language.months:
        return _month_first(scan, index)
    if word in language.words.relative_days:
        return Found(index + 1, ("relative", word))
    if word in language.weekdays:
        at = index + 1
        while scan.texts[at] in (",", ".") and at < index + 3:
            at += 1
        if scan.classes[at] in ("number", "isodate", "date") or scan.words[at] in language.months:
            found = date(scan, at)
            if found is not None:
                return found
        if word in language.full_weekdays:
            return Found(index + 1, ("weekday", language.weekdays[word]))
    return None


def _in_figures(scan: Scan, index: int) -> Found | None:
    text = scan.texts[index]
    sign = next(char for char in text if char in "-/.")
    first, second, year = (int(part) for part in text.split(sign))
    if year < 100:
        year += 2000 if year < 70 else 1900
    month_first = scan.language.words.month_first and sign == "/"
    if first > 12 or second > 12:
        month_first = second > 12
    day, month = (second, first) if month_first else (first, second)
    return _checked(index + 1, year, month, day)


def _day_first(scan: Scan, index: int) -> Found | None:
    """Read `3 May 2026`, `3rd of May`."""
    day = _day(scan, index)
    if day is None:
        return None
    at = day[0]
    if scan.words[at] == "of" or (scan.texts[at] in ("-", ".") and scan.glued(at - 1)):
        at += 1
    name, _, year_text = scan.words[at].partition("-")
    if scan.classes[at] == "ident" and name in scan.language.months and len(year_text) == 4:  # `3-May-2026`
        return (
            _checked(at + 1, int(year_text), scan.language.months[name], day[1])
            if year_text.isdecimal()
            else None
        )
    month = _month(scan, at)
    if month is None:
        return None
    at, number = month
    if scan.texts[at] in (",", "-"):
        year = _year(scan, at + 1)
        return _checked(*year, number, day[1]) if year else _checked(month[0], None, number, day[1])
    year = _year(scan, at)
    return _checked(*year, number, day[1]) if year else _checked(at, None, number, day[1])


def _month_first(scan: Scan, index: int) -> Found | None:
    """Read `May 3rd, 2026`, `May 2026`."""
    doubtful = scan.words[index] in scan.language.words.doubtful_months and scan.texts[index][:1].islower()
    month = _month(scan, index)
    if month is None:
        return None
    at, number = month
    year = _year(scan, at)
    if year is not None and (not doubtful or scan.glued(index) is False):
        return _checked(*year, number, None)
    day = None if doubtful else _day(scan, at)
    if day is None or not 1 <= day[1] <= 31:
        return None
    at = day[0]
    year = _year(scan, at + 1 if scan.texts[at] == "," else at)
    return _checked(*year, number, day[1]) if year else _checked(at, None, number, day[1])


def _month(scan: Scan, index: int) -> tuple[int, int] | None:
    number = scan.language.months.get(scan.words[index])
    if number is None:
        return None
    short = scan.texts[index + 1] == "." and scan.glued(index)
    # A full stop after a short name is part of it where the date goes on.
    goes_on = short and scan.classes[index + 2] == "number"
    return index + (2 if goes_on else 1), number


def _day(scan: Scan, index: int) -> tuple[int, int] | None:
    text = scan.texts[index]
    if scan.classes[index] != "number" or not text.isdecimal() or len(text) > 2 or not 1 <= int(text) <= 31:
        return None
    end = index + 1
    if scan.glued(index) and scan.classes[end] == "word":
        if scan.words[end] not in scan.language.words.ordinal_endings:
            return None
        end += 1
    return end, int(text)


def _year(scan: Scan, index: int) -> tuple[int, int] | None:
    text = scan.texts[index]
    is_year = scan.classes[index] == "number" and len(text) == 4 and text.isdecimal() and int(text) in YEARS
    return (index + 1, int(text)) if is_year else None


def _checked(end: int, year: int | None, month: int, day: int | None) -> Found | None:
    try:
        dt.date(year or 2000, month, day or 1)
    except ValueError:
        return None
    return Found(end, (year, month, day))


def time(scan: Scan, index: int) -> Found | None:
    """Return a time of day: `("14:30", zone)`, the zone as an offset in minutes, a name or None."""
    half_days = scan.language.words.half_days
    if scan.classes[index] == "clock":
        hours, minutes, *rest = scan.texts[index].split(":")
        hour, seconds, end = int(hours), Decimal(rest[0].replace(",", ".")) if rest else Decimal(0), index + 1
    elif scan.classes[index] == "number" and scan.texts[index].isdecimal() and len(scan.texts[index]) <= 2:
        hour, minutes, seconds, end = int(scan.texts[index]), "0", Decimal(0), index + 1
        if _half(scan, end) is None:
            return None
    else:
        return None
    half = _half(scan, end)
    if half is not None:
        if not 1 <= hour <= 12:
            return None
        end, hour = half[0], hour % 12 + half_days[half[1]]
    if hour > 24:
        return None
    dated = index > 0 and scan.classes[index - 1] == "isodate"
    end, zone = _zone(scan, end, dated=dated)
    if dated and hour == int(minutes) == seconds == 0 and not zone:
        return Found(end, None)  # midnight is how a date without a time is written
    return Found(end, (_clock(hour, int(minutes), seconds), zone))


def _half(scan: Scan, index: int) -> tuple[int, str] | None:
    """Read `pm`, `p.m.`."""
    halves = scan.language.words.half_days
    if scan.words[index] in halves:
        return index + 1, scan.words[index]
    dotted = "".join(scan.words[index : index + 3])
    if dotted in halves:
        return index + (4 if scan.texts[index + 3] == "." and scan.glued(index + 2) else 3), dotted
    return None


def _zone(scan: Scan, index: int, *, dated: bool) -> tuple[int, int | str | None]:
    """Read a zone. An offset to the west stands behind a date's time alone: `10:00-11:30` are two times."""
    text = scan.texts[index]
    if text in ("Z", "UTC", "GMT"):
        return index + 1, 0
    if (dated or text == "+") and text in ("+", "-") and scan.glued_before(index) and scan.glued(index):
        sign = -1 if text == "-" else 1
        offset = scan.texts[index + 1].replace(":", "")
        if scan.classes[index + 1] in ("clock", "number") and offset.isdecimal() and len(offset) == 4:
            return index + 2, sign * (int(offset[:2]) * 60 + int(offset[2:]))
    if len(text) in (3, 4) and text.isupper() and text[-1] == "T" and scan.classes[index] == "word":
        return index + 1, text
    return index, None


def _clock(hour: int, minute: int, second: Decimal) -> str:
    rest = "" if not second else f":{second.normalize():f}"
    return f"{hour:02}:{minute:02}{rest}"


def date_value(value: dt.date) -> tuple[int, int, int]:
    """Return the normal form of a date."""
    return value.year, value.month, value.day


def time_value(value: dt.time | dt.datetime) -> tuple[str, int | str | None]:
    """Return the normal form of a time of day."""
    offset = value.utcoffset()
    second = Decimal(value.second) + Decimal(value.microsecond).scaleb(-6)
    zone = None if offset is None else int(offset.total_seconds() // 60)
    return _clock(value.hour, value.minute, second), zone
