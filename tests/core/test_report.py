"""The promise: a report tells what was wrong, where it entered, its way and what to change; and harms nobody."""

from __future__ import annotations

import html.parser
import re
from pathlib import Path

import pytest
from tests.core.builders import Record
from tests.core.test_rootcause import REQUEST, WRONG, row

import becausal
from becausal.answers.report import FORMATS, incident
from becausal.answers.report.advice import ADVICE
from becausal.answers.report.excerpt import excerpt_of
from becausal.errors import BecausalError
from becausal.finding import KINDS
from becausal.run import Run

EVIL = "<script>alert(1)</script>\n```\n# Not a heading\n<img src=x onerror=alert(2)> \x1b[31mred\x1b[0m \u202edesrever"


def bad_run() -> Run:
    return Run("a" * 32, row(REQUEST, WRONG, WRONG, arrives=WRONG).steps())


def test_a_report_tells_the_cause_the_way_and_what_to_change() -> None:
    told = bad_run().report()

    assert "verdict: **contaminated**" in told
    assert "## Cause 1: handoff.mutated, the way a to b" in told
    assert "It entered in handoff `a to b`" in told
    assert told.index("sent:") < told.index("arrived:")
    assert "deliver by 3 May 2027" in told
    assert "deliver by 9 June 2027" in told
    assert "**2. agent b**" in told
    assert "### Who could have stopped it" in told
    assert "agent b, agent c" in told
    assert ADVICE["handoff.mutated"] in told


def test_a_run_with_nothing_wrong_gives_a_short_report_that_says_so() -> None:
    told = Run("a" * 32, row(REQUEST, REQUEST).steps()).report()

    assert "verdict: **coherent**" in told
    assert "nothing is wrong with 1 handoff, 1 tool call" in told
    assert "Cause" not in told
    assert "What was wrong" not in told


def test_what_was_put_right_is_told_apart() -> None:
    told = Run("a" * 32, row(REQUEST, WRONG, REQUEST, arrives=WRONG).steps()).report()

    assert "verdict: **contained**" in told
    assert "## Put right before the output" in told


def asking(chain_id: str, request: str, answer: str, started_ns: int) -> Record:
    record = Record(chain_id, started_ns=started_ns)
    with record.step("workflow", "offers", received=request) as team:
        with record.step("agent", "buyer", received=request) as buyer:
            if answer.startswith("HTTP"):
                record.did("tool", "get_offer", {"item": "desk"}, answer)
            buyer.produces(answer)
        team.produces(answer)
    return record


def test_a_report_names_the_other_runs_of_the_store_that_it_came_to(tmp_path: Path) -> None:
    wrong = "HTTP 503 Service Unavailable: the offers are gone for today"
    runs = [
        asking("a" * 32, "What does a desk cost?", wrong, 10**9),
        asking("b" * 32, wrong, f"You wrote: {wrong}", 2 * 10**9),
        asking("d" * 32, "What does a chair cost?", "A chair costs $80.00.", 3 * 10**9),
    ]
    for record in runs:
        record.write(f"sqlite:///{tmp_path / 'runs.db'}")

    with becausal.open(f"sqlite:///{tmp_path / 'runs.db'}") as store:
        (cause,) = incident(store.get("a" * 32)).causes
        told = store.get("a" * 32).report()
        assert "Other runs" not in store.get("d" * 32).report()

    (row,) = cause.elsewhere
    assert row.startswith(f"Run {'b' * 16} (offers): ")
    assert row.endswith("; its answer says it.")
    assert "### Other runs that it came to" in told
    assert "Other runs" not in Run("a" * 32, runs[0].steps()).report()


class _Tags(html.parser.HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def evil_run() -> Run:
    return Run(
        "a" * 32,
        row(f"{REQUEST} {EVIL}", f"{WRONG} {EVIL}", f"{WRONG} {EVIL}", arrives=f"{WRONG} {EVIL}").steps(),
    )


def test_html_is_whole_in_itself_and_every_text_is_escaped() -> None:
    page = evil_run().report("html")
    read = _Tags()
    read.feed(page)

    assert read.open == []
    assert {tag for tag, _ in read.tags}.isdisjoint({"script", "img", "link", "iframe", "a"})
    assert not any(
        name in ("src", "href") or name.startswith("on") for _, attrs in read.tags for name in attrs
    )
    assert "url(" not in page
    assert "http" not in re.sub(r"http-equiv", "", page)
    assert "&lt;script&gt;" in page
    assert "\x1b" not in page
    assert "\u202e" not in page
    assert "prefers-color-scheme: dark" in page
    assert "<mark>" in page


def test_content_without_marked_words_is_escaped_too() -> None:
    page = Run("a" * 32, row(f"{REQUEST} {EVIL}", f"{REQUEST} {EVIL}").steps()).report("html")

    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "<mark>" not in page


def test_markdown_cannot_be_broken_out_of() -> None:
    told = evil_run().report("markdown")
    outside, fence = [], ""
    for line in told.split("\n"):
        if not fence and re.match(r"`{3,}", line):
            fence = re.match(r"`+", line)[0]  # type: ignore[index]
        elif fence and line == fence:
            fence = ""
        elif not fence:
            outside.append(line)

    assert fence == ""
    assert "# Not a heading" not in outside
    assert not any(re.search(r"(?<!\\)<(script|img)", line) for line in outside)
    assert "\x1b" not in told


def test_a_long_payload_is_cut_around_what_matters_and_says_how_much_is_left_out() -> None:
    text = "x" * 5000 + " the price is 41.50 dollars " + "y" * 3000

    shown = excerpt_of(text, ["41.50 dollars"])

    assert "41.50 dollars" in shown.text
    assert shown.marked == ("41.50 dollars",)
    left = sum(map(int, re.findall(r"\[… (\d+) characters …\]", shown.text)))
    assert left + len(re.sub(r"\n?\[… \d+ characters …\]\n?", "", shown.text)) == len(text)


def test_content_that_was_not_kept_is_said_so() -> None:
    record = row(REQUEST, REQUEST)
    steps = record.steps()
    record.bodies.clear()
    told = Run("a" * 32, steps).report()

    assert "verdict: **unknown**" in told
    assert "was not kept" in told


def test_a_long_way_is_cut_in_the_middle() -> None:
    texts = [REQUEST, *[WRONG] * 7]
    way = incident(Run("a" * 32, row(*texts, arrives=WRONG).steps())).causes[0].way

    assert len(way) <= 15
    assert any(leg.step is None and "more step" in leg.name for leg in way)


def test_every_kind_of_finding_has_its_advice_and_every_format_is_written() -> None:
    assert set(ADVICE) == set(KINDS)
    for format in FORMATS:
        assert Run("a" * 32, Record().steps()).report(format)
    with pytest.raises(BecausalError, match="markdown or html"):
        bad_run().report("pdf")  # type: ignore[arg-type]
