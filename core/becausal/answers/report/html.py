"""An incident as one HTML page: no script, nothing from elsewhere, fit for light and dark, every text escaped."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from html import escape as _escaped
from typing import Final

from becausal.answers.report.excerpt import Excerpt, one_line
from becausal.answers.report.incident import Cause, Incident, Leg
from becausal.harmless import harmless

__all__ = ["html"]

_STYLE: Final = """
:root { color-scheme: light dark; --ink: #1c2430; --soft: #5b6676; --paper: #ffffff; --card: #f5f7fa; --line: #d9dfe7;
  --bad: #b3261e; --good: #1c6b3c; --mark: #ffe08a; --mark-ink: #1c2430; --unsure: #8a5a00; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6eaf0; --soft: #9aa5b4; --paper: #14181f; --card: #1d232c;
  --line: #333c48; --bad: #ff8a80; --good: #7fd6a0; --mark: #6b5200; --mark-ink: #fff3cd; --unsure: #f0c36d; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 60rem; padding: 2rem 1.25rem 4rem; background: var(--paper); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.7rem; margin: 0 0 .25rem; } h2 { font-size: 1.25rem; margin: 2.5rem 0 .5rem; }
h3 { font-size: 1rem; margin: 1.5rem 0 .4rem; } p { margin: .4rem 0; } ul { margin: .4rem 0; padding-left: 1.3rem; }
.facts { color: var(--soft); font-size: .9rem; } code { font: .875em ui-monospace, SFMono-Regular, Menlo, monospace; }
.verdict { display: inline-block; padding: .1rem .6rem; border-radius: 1rem; border: 1px solid currentColor;
  font-weight: 600; font-size: .9rem; }
.ok { color: var(--good); } .wrong { color: var(--bad); } .unsure { color: var(--unsure); }
.cause { border-top: 3px solid var(--bad); margin-top: 2.5rem; } .cause h2 { margin-top: 1rem; }
blockquote { margin: .4rem 0; padding: .3rem .8rem; border-left: 3px solid var(--line); color: var(--soft); }
ol.way { list-style: none; margin: 0; padding: 0; } ol.way > li { position: relative; padding: 0 0 1rem 1.4rem;
  border-left: 2px solid var(--line); margin-left: .4rem; }
ol.way > li::before { content: ""; position: absolute; left: -.45rem; top: .35rem; width: .75rem; height: .75rem;
  border-radius: 50%; background: var(--paper); border: 2px solid var(--soft); }
ol.way > li:first-child::before { background: var(--bad); border-color: var(--bad); }
ol.way > li:last-child { border-left-color: transparent; padding-bottom: 0; }
.leg { font-weight: 600; } .id { color: var(--soft); font-weight: 400; font-size: .85em; }
.sides { display: grid; grid-template-columns: repeat(auto-fit, minmax(16rem, 1fr)); gap: .75rem; margin-top: .35rem; }
figure { margin: 0; min-width: 0; } figcaption { color: var(--soft); font-size: .8rem; }
pre { margin: .15rem 0 0; padding: .6rem .75rem; background: var(--card); border: 1px solid var(--line);
  border-radius: .4rem; white-space: pre-wrap; overflow-wrap: anywhere;
  font: .82rem/1.45 ui-monospace, SFMono-Regular, Menlo, monospace; }
mark { background: var(--mark); color: var(--mark-ink); border-radius: .15rem; padding: 0 .1rem; }
footer { margin-top: 3rem; color: var(--soft); font-size: .85rem; }
"""


def html(shown: Incident) -> str:
    """Return a report as one page."""
    title = escape(f"Incident report: {shown.name or 'run'}")
    body = "\n".join(_body(shown))
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        f"<title>{title}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n{body}\n</body>\n</html>\n"
    )


def _body(shown: Incident) -> Iterator[str]:
    verdict = shown.health.verdict
    sort = "ok" if shown.health.ok else "unsure" if verdict in ("unknown", "suspect") else "wrong"
    yield f"<header><h1>Incident report: {escape(shown.name or 'run')}</h1>"
    yield f'<p><span class="verdict {sort}">{escape(verdict)}</span></p>'
    agents = escape(one_line(", ".join(shown.agents), 300)) or "none"
    yield (
        f'<p class="facts">run <code>{escape(one_line(shown.chain_id))}</code><br>{escape(shown.when)}<br>'
        f"agents: {agents}; {shown.steps} steps</p></header>"
    )
    yield from _section(
        "What was wrong" if shown.causes else "What the record says", shown.health.reasons, level=2
    )
    if shown.more_causes:
        told = f"The first {len(shown.causes)} are told below; {shown.more_causes} more are in"
        yield f"<p>{told} <code>becausal findings</code>.</p>"
    for number, cause in enumerate(shown.causes, 1):
        yield from _cause(number, cause)
    yield from _section("Put right before the output", shown.contained, level=2)
    yield from _section("Worth knowing", shown.notes, level=2)
    yield "<h2>The request and the output</h2>"
    yield f'<div class="sides">{_figure("asked", shown.request)}{_figure("answered", shown.output)}</div>'
    yield "<footer>All of this is read from the record of the run; no model was asked.</footer>"


def _cause(number: int, cause: Cause) -> Iterator[str]:
    suspect = cause.suspect
    is_agents = suspect.step.agent and suspect.step.kind != "handoff"
    agent = f", agent {escape(suspect.step.agent or '')}" if is_agents else ""
    yield f'<section class="cause"><h2>Cause {number}: {escape(cause.kind)}, {escape(one_line(suspect.who, 100))}</h2>'
    yield f"<p>{escape(cause.message)}</p>"
    yield (
        f'<p class="facts">It entered in {escape(suspect.step.kind)} '
        f"<code>{escape(one_line(suspect.step.name, 80))}</code> "
        f"(step <code>{escape(suspect.step.id[:8])}</code>{agent}); score {suspect.score:.2f}.</p>"
    )
    yield from (f"<blockquote>{escape(one_line(row, 400))}</blockquote>" for row in cause.evidence)
    yield from _section("What followed from it", cause.followed)
    yield "<h3>The way it took</h3>"
    yield '<ol class="way">' + "".join(map(_leg, cause.way)) + "</ol>"
    yield from _section("Decisions on the way", cause.decisions)
    yield from _section("Who could have stopped it", cause.stoppers)
    yield from _section("What else it came to", cause.spread)
    yield from _section("Other runs that it came to", cause.elsewhere)
    yield from _section("What to change", cause.advice)
    yield "</section>"


def _leg(leg: Leg) -> str:
    if leg.step is None:
        return f'<li><span class="id">… {escape(leg.name)} …</span></li>'
    head = f'<div class="leg">{escape(leg.name)} <span class="id">{escape(leg.step.id[:8])}</span></div>'
    if leg.is_same:
        return f"<li>{head}{_figure('what was sent arrived', leg.after)}</li>"
    first, second = ("sent", "arrived") if leg.step.kind == "handoff" else ("received", "gave")
    return f'<li>{head}<div class="sides">{_figure(first, leg.before)}{_figure(second, leg.after)}</div></li>'


def _figure(caption: str, shown: Excerpt) -> str:
    return f"<figure><figcaption>{escape(caption)}</figcaption><pre>{_marked(shown)}</pre></figure>"


def _marked(shown: Excerpt) -> str:
    """Return a text escaped, with the words that matter marked."""
    if not shown.marked:
        return escape(shown.text)
    words = "|".join(re.escape(word) for word in sorted(shown.marked, key=len, reverse=True))
    parts = re.split(f"({words})", shown.text)
    return "".join(f"<mark>{escape(part)}</mark>" if i % 2 else escape(part) for i, part in enumerate(parts))


def _section(title: str, rows: Iterable[str], level: int = 3) -> Iterator[str]:
    found = tuple(rows)
    if found:
        items = "".join(f"<li>{_with_code(row)}</li>" for row in found)
        yield f"<h{level}>{escape(title)}</h{level}><ul>{items}</ul>"


def _with_code(text: str) -> str:
    return re.sub(r"`([^`<>]{1,60})`", r"<code>\1</code>", escape(one_line(text, 800)))


def escape(text: str) -> str:
    """Return a text that means nothing to a browser, and turns nothing of what is read."""
    return _escaped(harmless(text, keeping="\n\t"))
