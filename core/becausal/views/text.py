"""Runs for a terminal: trees, tables and lines, made of what a run already knows."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from becausal import semconv
from becausal.answers.handoffs import with_news
from becausal.answers.health import CAME_IN, ROOT_IS_LOST
from becausal.answers.lineage import Lineage
from becausal.decision import Decision
from becausal.delta import Change
from becausal.findings.scene import noted
from becausal.graph.edge import Edge
from becausal.handoff import Handoff, Verdict
from becausal.payload import Payload, text_of
from becausal.run import Run
from becausal.step import EdgeKind, Grade, Status, Step
from becausal.store import ChainInfo
from becausal.toolcall import ToolCall
from becausal.views.clean import cut, head, line, styled
from becausal.views.layout import by_width, table_of

__all__ = ["GRADE_STYLE", "called", "decision_line", "edges", "handoffs", "run", "runs", "tools"]

MOST_LINES = 40
"""So many lines of a value are shown where all of it is asked for."""

MOST_NEWS = 50
"""Changes of a handoff that are shown where the handoffs are what was asked for."""

MOST_CHANGES = 12
"""So many changes of a handoff are shown in a tree."""

WIDEST_VALUE = 60
"""Characters of a value that a line shows."""

_GIVE_WAY = {"name", "agents", "agent", "tool", "arguments", "response", "cause", "effect", "evidence"}
"""Columns that are cut where the terminal is too narrow; the others keep their width."""

_STATUS: dict[Status, str] = {"ok": "green", "error": "bold red", "open": "yellow"}
_VERDICT: dict[Verdict, str] = {
    "identical": "green",
    "same_meaning": "green",
    "extended": "green",
    "lost": "bold red",
}
_GO_ON: tuple[EdgeKind, ...] = ("memory", "resume")
"""The kinds of causes by which work goes on from what an earlier run left."""

GRADE_STYLE: dict[Grade, str] = {
    "declared": "green",
    "observed": "green",
    "matched": "yellow",
    "inferred": "red",
}


def short(chain_id: str) -> str:
    """Return a run's id as a list shows it; every command takes it so."""
    return chain_id[:12]


def _end_lost(*, came_in: bool) -> str:
    """Return how a run stands whose root is lost."""
    return "ended here" if came_in else "unfinished"


def runs(infos: Sequence[ChainInfo], came_in: Collection[str] = ()) -> RenderableType:
    """Return a table of runs, in the order given.

    Args:
        infos: the runs.
        came_in: those that are known to have come in from another process (`Graph.came_in`).
    """
    if not infos:
        return Text("No run has been recorded here yet.")
    table = table_of(
        "run", "name", "started", "took", "steps", "handoffs", "errors", "agents", gives_way=_GIVE_WAY
    )
    for info in infos:
        ended = info.ended_ns
        table.add_row(
            styled(short(info.chain_id), "bold"),
            styled(cut(info.name, 40)),
            Text(datetime.fromtimestamp(info.started_ns / 1e9).strftime("%m-%d %H:%M:%S")),
            Text(
                _end_lost(came_in=info.chain_id in came_in)
                if info.root_is_lost
                else _took(ended and ended - info.started_ns)
            ),
            Text(str(info.steps)),
            Text(str(info.handoffs)),
            Text(str(info.errors), style="bold red" if info.errors else ""),
            styled(cut(", ".join(info.agents), 60)),
        )
    return by_width(table)


def run(shown: Run) -> RenderableType:
    """Return a run as a tree of its steps, each handoff where it was sent."""
    title = Text.assemble(
        styled(f"run {shown.chain_id}", "bold"),
        f"  {_count(len(shown.steps), 'step')}, {_count(len(shown.handoffs), 'handoff')}, ",
        styled(
            _end_lost(came_in=shown.graph.came_in) if shown.graph.root_is_lost else shown.status,
            _STATUS.get(shown.status, "yellow"),
        ),
        no_wrap=True,
        overflow="ellipsis",
    )
    tree = Tree(title, guide_style="dim")
    by_id = {handoff.id: handoff for handoff in shown.handoffs}
    # A stack in place of recursion: a run may be nested as deep as its app was.
    todo = [(tree, step) for step in reversed(shown.graph.roots)]
    while todo:
        branch, step = todo.pop()
        if step.kind == "handoff":
            inner = branch.add(_handoff_line(by_id[step.id]))
            _add_changes(inner, by_id[step.id])
        else:
            inner = branch.add(_step_line(step))
        for note in _noted(step):
            inner.add(styled(note, "yellow"))
        if step.error:
            inner.add(styled(f"✗ {cut(step.error, 300)}", "red"))
        for choice in step.choices:
            inner.add(decision_line(Decision(step, choice)))
        todo += [(inner, child) for child in reversed(shown.graph.children(step))]
    return Group(tree, *_beyond(shown)) if shown.graph.missing else tree


def _beyond(shown: Run) -> Iterator[RenderableType]:
    """Yield what the record names and does not hold: earlier work that this run goes on from, and what is lost."""
    missing = set(shown.graph.missing)
    named = [(step, cause) for step in shown.steps for cause in step.causes if cause.source_id in missing]
    earlier = {cause.source_id for _, cause in named if cause.kind in _GO_ON}
    for step, cause in named:
        if cause.source_id in earlier:
            yield styled(f"{called(step)} goes on from another run: {cause.evidence or cause.kind}.", "dim")
            earlier.discard(cause.source_id)
    if shown.graph.root_is_lost:
        yield Text(
            (CAME_IN if shown.graph.came_in else ROOT_IS_LOST).capitalize(), "yellow"
        )  # not cut at the edge of the terminal: it is the verdict
    lost = missing - {cause.source_id for _, cause in named if cause.kind in _GO_ON}
    if lost:
        is_are = "step that this record names is" if len(lost) == 1 else "steps that this record names are"
        yield styled(f"{len(lost)} {is_are} lost, or in another run.", "yellow")


def _noted(step: Step) -> Iterator[str]:
    """Yield what is easily missed of a step, and what its line does not say."""
    if step.attributes.get(semconv.CACHED) is True:
        yield "from the cache"
    attempt = step.attributes.get(semconv.ATTEMPT)
    if isinstance(attempt, int) and attempt > 1:
        yield f"attempt {attempt}"
    dropped = noted(step, "dropped_keys")
    if isinstance(dropped, tuple) and dropped:
        yield f"dropped, since the state has no such key: {cut(', '.join(dropped), 200)}"


def edges(lineage: Lineage) -> RenderableType:
    """Return the edges of a lineage as a table, causes first."""
    table = table_of(
        *("cause", "effect", "edge", "grade", "evidence"),
        gives_way=_GIVE_WAY,
        title=f"why {called(lineage.of)}",
    )
    results: list[Edge] = []
    for edge in sorted(lineage.edges, key=lambda edge: (edge.target.seq, edge.source.seq)):
        if edge.source.id == lineage.of.id:  # seen from the step asked about, what it called leads to it
            results += [] if edge.target.kind == "handoff" else [edge]
        else:
            _add_edge(table, edge.source, edge.target, edge, edge.evidence)
    for edge in results:
        _add_edge(table, edge.target, edge.source, edge, "returned to its caller")
    return by_width(table)


def handoffs(shown: Sequence[Handoff], *, whole: bool = False, full: bool = False) -> RenderableType:
    """Return handoffs, with what changed on the way below each; a line a change, or the change as a whole.

    What only came along, since an earlier one had brought it, is a count; `full` shows it too.
    """
    if not shown:
        return Text("No handoff of this run changed on its way." if whole else "This run has no handoff.")
    tree = Tree("", guide_style="dim", hide_root=True)
    rows = ((one, list(one.told), 0) for one in shown) if full else with_news(shown)
    for handoff, changes, along in rows:
        branch = tree.add(_handoff_line(handoff))
        most = len(changes) if full else MOST_NEWS
        for change in changes[:most]:
            below = branch.add(styled(_change_text(change)))
            for sign, value in (("−", change.before), ("+", change.after)) if whole else ():  # noqa: RUF001
                if value is not None:
                    below.add(
                        Text.assemble(styled(f"{sign} ", "red" if sign != "+" else "green"), _whole(value))
                    )
        if len(changes) > most:
            branch.add(styled(f"… and {len(changes) - most} more: --full", "dim"))
        if along:
            branch.add(styled(f"= {along} that an earlier handoff had brought: --full", "dim"))
    return tree


def _whole(value: object) -> Text:
    lines = text_of(value).split("\n")
    more = [f"… {len(lines) - MOST_LINES} more lines"] if len(lines) > MOST_LINES else []
    return Text("\n".join(map(line, lines[:MOST_LINES])) + "".join(f"\n{note}" for note in more))


def tools(shown: Sequence[ToolCall], *, failed: bool = False) -> RenderableType:
    """Return a table of tool calls."""
    if not shown:
        return Text("No tool call of this run failed." if failed else "This run called no tool.")
    table = table_of(
        *("step", "tool", "agent", "arguments", "response", "size", "took", "status"), gives_way=_GIVE_WAY
    )
    for call in shown:
        table.add_row(
            styled(call.step.id[:8], "dim"),
            styled(call.name, "bold"),
            styled(call.agent or ""),
            _unless_gone(call.step.received, head(call.arguments, WIDEST_VALUE)),
            _unless_gone(None if call.error else call.step.produced, _response(call)),
            Text(f"{call.response_size} B"),
            Text(_took(call.latency_ns)),
            Text(call.step.status, style=_STATUS.get(call.step.status, "yellow")),
        )
    return by_width(table)


def _unless_gone(payload: Payload | None, shown: str) -> Text:
    """Return a content as it is shown, unless there was one that was not kept."""
    return styled(shown) if payload is None or payload.is_kept else styled("(not kept)", "dim")


def _add_edge(table: Table, cause: Step, effect: Step, edge: Edge, evidence: str) -> None:
    table.add_row(
        styled(f"{cause.id[:8]} {called(cause)}"),
        styled(f"{effect.id[:8]} {called(effect)}"),
        Text(edge.kind),
        Text(edge.grade, style=GRADE_STYLE[edge.grade]),
        styled(cut(evidence, WIDEST_VALUE)),
    )


def _step_line(step: Step) -> Text:
    agent = f" of {step.agent}" if step.agent and step.agent != step.name else ""
    ends = [f"← {_digest(step.received)}"] if step.received is not None else []
    ends += [f"→ {_digest(step.produced)}"] if step.produced is not None else []
    return Text.assemble(
        styled(f"{step.kind} ", "cyan"),
        styled(cut(step.name, 80), "bold"),
        styled(agent),
        # The id and the status before the digests: in a narrow terminal the end of the line is cut.
        styled(f"  {step.id[:8]}  ", "dim"),
        Text(step.status, style=_STATUS.get(step.status, "yellow")),
        styled("" if step.duration_ns is None else f"  {_took(step.duration_ns)}"),
        styled(f"  {'  '.join(ends)}" if ends else "", "dim"),
        no_wrap=True,
        overflow="ellipsis",
    )


def _handoff_line(handoff: Handoff) -> Text:
    return Text.assemble(
        styled(_between(handoff), "bold magenta"),
        styled(f"  {handoff.id[:8]}  ", "dim"),
        _verdict(handoff),
        styled(f"  sent {_digest(handoff.sent)}  received {_digest(handoff.received)}"),
        no_wrap=True,
        overflow="ellipsis",
    )


def _add_changes(branch: Tree, handoff: Handoff) -> None:
    changes = list(handoff.told)
    for change in changes[:MOST_CHANGES]:
        branch.add(styled(_change_text(change)))
    if len(changes) > MOST_CHANGES:
        branch.add(styled(f"… and {len(changes) - MOST_CHANGES} more: becausal handoffs --full", "dim"))


def _change_text(change: Change) -> str:
    before, after = (head(value, WIDEST_VALUE) for value in (change.before, change.after))
    match change.kind:
        case "dropped":
            return f"− dropped {change.path}  {before}"  # noqa: RUF001
        case "added":
            return f"+ added {change.path}  {after}"
        case "cut":
            return f"✂ cut {change.path}  {change.missing} gone, left: {after}"
        case "retyped":
            kinds = f"{type(change.before).__name__} → {type(change.after).__name__}"
            return f"≠ retyped {change.path}  {kinds}  {after}"
        case "reordered":
            return f"⇅ reordered {change.path}"
        case _:
            return f"~ changed {change.path}  {before} → {after}"


def decision_line(decision: Decision) -> Text:
    """Return a decision in a line."""
    sure = decision.confidence
    return Text.assemble(
        styled("decides ", "blue"),
        styled(cut(decision.conclusion, 200)),
        styled(f"  because {cut(decision.reason, 200)}" if decision.reason else "", "dim"),
        styled(f"  {sure.score:.2f} {sure.method}" if sure is not None else "", "dim"),
        no_wrap=True,
        overflow="ellipsis",
    )


def called(step: Step) -> str:
    """Return what a step is called in a line."""
    agent = f" of {step.agent}" if step.agent and step.agent != step.name and step.kind != "handoff" else ""
    return cut(f"{step.kind} {step.name}{agent}", WIDEST_VALUE)


def _between(handoff: Handoff) -> str:
    return f"{cut(handoff.sender or '?', 30)} ⇒ {cut(handoff.receiver or '?', 30)}"


def _verdict(handoff: Handoff) -> Text:
    verdict = handoff.verdict
    counts = ", ".join(f"{count} {kind}" for kind, count in handoff.told.counts().items())
    words = verdict.replace("_", " ") + (f" ({counts})" if counts else "")
    return Text(words + (", as intended" if handoff.intended else ""), style=_VERDICT.get(verdict, "yellow"))


def _response(call: ToolCall) -> str:
    return cut(call.error, WIDEST_VALUE) if call.error else head(call.response, WIDEST_VALUE)


def _digest(payload: Payload | None) -> str:
    if payload is None:
        return "nothing"
    return f"{payload.digest.rpartition(':')[2][:8]} ({payload.size} B{', cut down' if payload.cut_down else ''})"


def _count(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _took(duration_ns: int | None) -> str:
    if duration_ns is None:
        return "open"
    ms = duration_ns / 1e6
    return f"{ms:.1f} ms" if ms < 1000 else f"{ms / 1000:.2f} s"
