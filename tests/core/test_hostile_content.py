"""The promise: nothing that an app recorded runs, repaints or forges what somebody looks at, by whichever view."""

from __future__ import annotations

import contextlib
import html.parser
import io
import json
import unicodedata
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tests.core.builders import Record
from tests.core.commands import LOOKING

import becausal
from becausal import semconv
from becausal.cli import main

HOSTILE = (
    *(
        "<script>alert(1)</script>",
        '"><img src=x onerror=alert(1)>',
        "' onmouseover='alert(1)",
        "<!--",
        "]]>",
    ),
    *("</style></title></pre></textarea><svg/onload=alert(1)>", "javascript:alert(1)", "&lt;b&gt;", "&#x3c;"),
    *(
        "[text](javascript:alert(1))",
        "![x](http://127.0.0.1/x)",
        "```\n# Heading\n",
        "`<b>`",
        "\n---\n",
        "| a | b |",
    ),
    *(
        "\x1b[31mred\x1b[0m",
        "\x1b[2J\x1b[H",
        "\x1b]0;title\x07",
        "\x1b]8;;http://evil\x1b\\link",
        "\x9b2J",
        "\x90q",
    ),
    *(
        "\u202edesrever\u202c",
        "\u2066a\u2069",
        "\u200e\u200f",
        "\ufeff",
        "\U000e0041",
        "\ud800",
        "\x00",
        "\r\x08\x7f",
    ),
    *(
        "[bold red]markup[/]",
        "[link=http://evil]x[/link]",
        ":warning:",
        "{{7*7}}",
        "${jndi:x}",
        "%s%n",
        "\u2028",
    ),
)
"""Markup, terminals' escape sequences, marks that turn the direction of reading, rich's own markup, templates."""

REQUEST = "Order 20 desks at EUR 410.00, deliver by 3 May 2027"
WRONG = "Order 20 desks at EUR 410.00, deliver by 9 June 2027"

texts = st.lists(st.sampled_from(HOSTILE) | st.text(max_size=20), min_size=1, max_size=4).map("".join)


def hostile_run(evil: str, chain_id: str) -> Record:
    """Return a run that goes wrong, in which everything that an app may name or say has a hostile text in it."""
    record = Record()
    asked = {"question": f"{REQUEST} {evil}", evil: evil}
    with record.step("workflow", f"team {evil}", received=asked) as team:
        with record.step("agent", f"buyer {evil}", received=asked) as buyer:
            tool = record.did(
                "tool", f"offer {evil}", {evil: evil, "item": "desk"}, f"HTTP 503 {evil}", call=evil
            )
            tool.step.status, tool.step.error = "error", f"ValueError: {evil}"
            tool.step.attributes.update({evil: evil, semconv.ERROR_TYPE: evil})
            record.did("model", f"m {evil}", [{"type": "human", "content": evil}], evil).decides(
                f"call {evil}", reason=evil, score=0.4
            )
            buyer.produces({"order": f"{REQUEST} {evil}"}).decides(evil, reason=evil)
        sent = record.handoff(buyer, f"clerk {evil}", {"order": f"{REQUEST} {evil}", "note": evil})
        sent.step.causes[0] = type(sent.step.causes[0])(buyer.id, "transfer", "matched", evil)
        arrived = {"order": f"{WRONG} {evil}", evil: "more"}
        with record.step("agent", f"clerk {evil}", received=arrived, arrivals=[sent]) as clerk:
            clerk.produces(f"{WRONG} {evil}")
        team.produces(f"{WRONG} {evil}")
    for step in record.made:
        step.chain_id = chain_id
    return record


def shown(*arguments: str) -> str:
    """Return what a command prints, on both streams."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        main(arguments)
    return out.getvalue() + err.getvalue()


def unfit(text: str) -> list[str]:
    """Return the characters that could do something to a terminal or to the order of reading."""
    return sorted({char for char in text if char not in "\n\t" and unicodedata.category(char)[0] == "C"})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("hostile")


checked = settings(
    max_examples=3,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)


@checked
@given(evil=texts)
@example(evil=" ".join(HOSTILE))
def test_no_view_prints_what_a_terminal_would_obey(folder: Path, evil: str) -> None:
    store = str(kept(folder, evil))

    for command in (*LOOKING, ("memory", "nothing")):
        told = shown(*command, "--store", store)
        assert unfit(told) == [], command
        assert unfit(shown(*command, "--store", store, "--json")) == [], command


@checked
@given(evil=texts)
@example(evil=" ".join(HOSTILE))
def test_what_is_refused_is_told_without_what_a_terminal_would_obey(folder: Path, evil: str) -> None:
    store = str(kept(folder, evil))
    name = evil.replace("\x00", "") or "x"  # an argument of a program has no zero in it

    for command in (("why", "last", f"x{name}"), ("show", f"x{name}"), ("blame", "last", "--of", "x")):
        with contextlib.suppress(SystemExit):
            assert unfit(shown(*command, "--store", store)) == [], command


@checked
@given(evil=texts)
@example(evil=" ".join(HOSTILE))
def test_a_page_has_no_element_and_no_attribute_but_our_own(folder: Path, evil: str) -> None:
    with becausal.open(kept(folder, evil)) as runs:
        page = runs.last().report("html")

    read = Page()
    read.feed(page)
    read.close()
    assert read.tags <= OURS
    assert read.attributes <= ATTRIBUTES
    assert read.links == []
    assert unfit(page) == []
    assert page.count("<style>") == page.count("</style>") == page.count("<title>") == 1
    assert "<!--" not in page
    assert read.unbalanced == []


@checked
@given(evil=texts)
@example(evil=" ".join(HOSTILE))
def test_markdown_has_no_element_no_link_and_no_heading_but_our_own(folder: Path, evil: str) -> None:
    with becausal.open(kept(folder, evil)) as runs:
        told = runs.last().report()

    outside, fence = [], None
    for line in told.splitlines():
        if fence is None and line.startswith("```"):
            fence = line.removesuffix("text")
        elif line == fence:
            fence = None
        elif fence is None:
            outside.append(line)
    assert fence is None
    prose = "\n".join(outside)
    for sign in ("<", "](", "!["):
        bare = [
            at for at in range(len(prose)) if prose.startswith(sign, at) and prose[max(0, at - 1)] != "\\"
        ]
        assert [prose[at - 20 : at + 20] for at in bare if prose[:at].count("`") % 2 == 0] == []
    headings = [line for line in outside if line.startswith("#")]
    assert all(line.lstrip("#").startswith(tuple(f" {title}" for title in HEADINGS)) for line in headings)
    assert unfit(told) == []


@checked
@given(evil=texts)
@example(evil=" ".join(HOSTILE))
def test_what_python_prints_of_an_answer_is_harmless_too(folder: Path, evil: str) -> None:
    with becausal.open(kept(folder, evil)) as runs:
        run = runs.last()
        answers = (
            *(
                runs,
                run,
                run.why(),
                run.impact(run.steps[0]),
                run.health,
                run.drift(),
                run.graph,
                run.blame(),
            ),
            *(run.diff(run), *run.root_cause(), *run.steps, *run.findings, *run.handoffs, *run.tool_calls),
            *(*run.decisions, *run.edges, *run.orphans),
        )
        for answer in answers:
            assert unfit(f"{answer}\n{answer!r}") == [], type(answer)


@pytest.mark.parametrize("chain_id", ["../../x", "/etc/x", "..", "a/b", "~", "con:1", "\x1b[2J", "\u202ea"])
def test_an_exported_run_is_named_so_that_it_stays_in_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chain_id: str
) -> None:
    inner = tmp_path / "one" / "two"
    inner.mkdir(parents=True)
    monkeypatch.chdir(inner)
    store = tmp_path / "runs.db"
    hostile_run("x", chain_id).write(f"sqlite:///{store}")

    told = shown("export", "last", "--store", str(store))

    assert unfit(told) == []
    (made,) = inner.iterdir()
    assert made.suffix == ".becausal"
    assert (
        made.name.removesuffix(".becausal").replace("_", "").replace("-", "").isalnum() or made.name[0] == "_"
    )
    assert {path.name.partition("-")[0] for path in tmp_path.iterdir()} == {"one", "runs.db"}
    again = str(tmp_path / "again.db")
    assert unfit(shown("import", str(made), "--store", again)) == []
    assert json.loads(shown("runs", "--json", "--store", again))


def kept(folder: Path, evil: str) -> Path:
    """Return a store with one hostile run in it."""
    path = folder / f"{abs(hash(evil)):x}.db"
    if not path.exists():
        hostile_run(evil, f"chain {evil}"[:80]).write(f"sqlite:///{path}")
    return path


OURS = {
    *(
        "html",
        "head",
        "meta",
        "title",
        "style",
        "body",
        "header",
        "h1",
        "h2",
        "h3",
        "p",
        "span",
        "code",
        "br",
        "ul",
    ),
    *("li", "ol", "section", "blockquote", "div", "figure", "figcaption", "pre", "mark", "footer"),
}
ATTRIBUTES = frozenset({"lang", "charset", "name", "content", "http-equiv", "class"})
HEADINGS = (
    *(
        "Incident report",
        "What was wrong",
        "What the record says",
        "Cause",
        "What followed",
        "The way it took",
    ),
    *(
        "Decisions on the way",
        "Who could have stopped",
        "What else it came to",
        "Other runs",
        "What to change",
    ),
    *("Put right", "Worth knowing", "The request and the output"),
)


class Page(html.parser.HTMLParser):
    """What a browser makes of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.links: list[str] = []
        self.open: list[str] = []
        self.unbalanced: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes.update(name for name, _ in attrs)
        self.links += [value or "" for name, value in attrs if name in ("href", "src", "style", "action")]
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.unbalanced.append(tag)
