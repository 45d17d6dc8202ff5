"""The commands that show a run: `runs`, `show`, `why`, `blame`, `handoffs`, `tools`, `logs`."""

from __future__ import annotations

import argparse
from dataclasses import replace

from rich.console import Group
from rich.text import Text

from becausal.answers.writers import writers_of
from becausal.blame import Blame, beginning
from becausal.cli.command import (
    FINE,
    FOUND,
    Answer,
    Commands,
    add_command,
    add_fail_on,
    add_full,
    add_part,
    by_findings,
    count,
    run_of,
    runs_of,
)
from becausal.counted import counted
from becausal.errors import RunNotFoundError, SettingsError, StepNotFoundError, StoreFormatError
from becausal.graph import Graph
from becausal.run import Run
from becausal.runs import Runs
from becausal.store import ChainInfo, Store
from becausal.views import blame as blames
from becausal.views import json as jsons
from becausal.views import logs, rootcause, text

__all__ = ["add_to"]

MOST_LOADED = 5_000
"""Steps of the runs that are listed, the newest first, that are loaded to see whether they can be."""

MOST_NAMED = 5
"""Damaged runs that are named."""

SHOWN = 200
"""Steps of a long run that are shown where nobody says how many."""


def add_to(commands: Commands) -> None:
    """Add these commands."""
    runs = add_command(
        commands,
        "runs",
        _runs,
        "list the recorded runs, newest first",
        takes_run=False,
        fails="one of them cannot be read whole",
    )
    runs.add_argument("--limit", type=count, default=20, metavar="N", help="at most so many (default: 20)")
    runs.add_argument(
        "--all", action="store_true", help="replays, and what memories did outside of every run, too"
    )
    show = add_command(
        commands,
        "show",
        _show,
        "show a run as a tree, with its handoffs and decisions",
        fails="findings at or above --fail-on, where that is given",
    )
    add_fail_on(show, None)
    add_part(show, usual=SHOWN)
    _add_questions(commands)


def _add_questions(commands: Commands) -> None:
    """Add what is asked about one run, or a part of it."""
    why = add_command(commands, "why", _why, "show everything that led to the output, or to a step")
    why.add_argument(
        "step",
        nargs="?",
        metavar="STEP",
        help="a step's id or the beginning of it, or an agent's or tool's name",
    )
    why.add_argument("--of", metavar="STEP", help="the same, as `blame` takes it")
    why.add_argument("--impact", action="store_true", help="show what came of STEP, not what led to it")
    blame = add_command(commands, "blame", _blame, "show where the output, or a text in it, came in")
    blame.add_argument("text", nargs="*", metavar="TEXT", help="a phrase or a number of the output")
    blame.add_argument(
        "--of", metavar="STEP", help="ask about another step than the output's: its id, or an agent's name"
    )
    passed = add_command(commands, "handoffs", _handoffs, "list a run's handoffs and what changed on the way")
    passed.add_argument("--diff", action="store_true", help="those that changed, each change whole")
    passed.add_argument(
        "--full",
        action="store_true",
        help="every change, also what an earlier handoff had brought (default: a count of that; JSON has it whole)",
    )
    called = add_command(commands, "tools", _tools, "list a run's tool calls")
    called.add_argument("--failed", action="store_true", help="those that failed, or that a finding names")
    written = add_command(commands, "logs", _logs, "list what the app logged inside a run's steps")
    written.add_argument("--agent", metavar="NAME", help="only what one agent's steps logged")
    for command in (why, blame):
        add_full(command)
    for command in (why, blame, passed, called, written):
        add_part(command)


def _runs(options: argparse.Namespace) -> Answer:
    with runs_of(options) as runs:
        listed = runs.list(limit=options.limit + 1, replays=options.all)
        more = Text(_more(runs, options), "dim") if len(listed) > options.limit and not options.json else None
        infos, came_in = _looked_into(runs.store, listed[: options.limit])
    damaged = [info.chain_id for info in infos if info.is_damaged]
    named = ", ".join(damaged[:MOST_NAMED]) + (", …" if len(damaged) > MOST_NAMED else "")
    told = Text(f"{counted(len(damaged), 'run')} cannot be read whole: becausal doctor says more\n  {named}")
    return Answer(
        lambda: Group(text.runs(infos, came_in), *([more] if more else ()), *([told] if damaged else ())),
        lambda: jsons.runs(infos),
        lambda: FOUND if damaged else FINE,
    )


def _more(runs: Runs, options: argparse.Namespace) -> str:
    """Return how many runs are not listed, and how to list them."""
    try:
        count = runs.count(replays=options.all)
    except StoreFormatError:
        return "and more: --limit N lists N"
    return f"and {counted(count - options.limit, 'older run')}: --limit {count} lists all"


def _looked_into(store: Store, infos: list[ChainInfo]) -> tuple[list[ChainInfo], set[str]]:
    """Return runs of which those are told as damaged that cannot be loaded, and which of them came in from elsewhere.

    A list alone does not look into steps.
    """
    left, found, came_in = MOST_LOADED, [], set[str]()
    for info in infos:
        left -= info.steps
        if left >= 0 and not info.is_damaged:
            try:
                steps = store.load(info.chain_id)
                if info.root_is_lost and Graph(steps).came_in:
                    came_in.add(info.chain_id)
            except StoreFormatError:
                info = replace(info, is_damaged=True)
        found.append(info)
    return found, came_in


def _show(options: argparse.Namespace) -> Answer:
    run = run_of(options)
    return Answer(lambda: text.run(run), lambda: jsons.run(run), by_findings(run, options))


def _why(options: argparse.Namespace) -> Answer:
    if options.step and options.of:
        raise SettingsError(f"name one step: {options.step!r}, or --of {options.of!r}")
    options.step = options.step or options.of
    run = _run_before(options, None if options.step else "why last STEP")
    if options.impact:
        return _impact(run, options.step, full=options.full)
    # What is not shown is not asked about; of a part of a run all is, as what led to a step has to be loaded for it.
    is_whole = options.json or run.part is not None
    lineage, blamed, suspects = (
        run.why(options.step),
        run.blame(of=options.step)
        if is_whole
        else beginning(run.graph, blames.MOST_SOURCES + 1, of=options.step),
        run.root_cause(options.step),
    )
    writers = writers_of(run.store, blamed)
    return Answer(
        lambda: Group(
            blames.why(lineage, blamed, writers),
            rootcause.dominators(lineage, full=options.full),
            *(
                [
                    Text("\nwho may have caused what is wrong", "italic"),
                    rootcause.text(suspects, full=options.full),
                ]
                if suspects
                else []
            ),
        ),
        lambda: {
            **blames.why_json(lineage, blamed, writers),
            "dominators": [step.id for step in lineage.dominators],
            "suspects": rootcause.json(suspects),
        },
    )


def _run_before(options: argparse.Namespace, instead: str | None) -> Run:
    """Return the run of a command that takes more after the run.

    Args:
        instead: what to write where the one thing that was given was not meant to be the run; None: there were two.
    """
    try:
        return run_of(options)
    except RunNotFoundError as unknown:
        if instead is None:
            raise
        raise RunNotFoundError(f"{unknown}; the run comes first: becausal {instead}") from None


def _impact(run: Run, step: str | None, *, full: bool) -> Answer:
    if step is None:
        raise StepNotFoundError("name the step whose impact is asked about: becausal why RUN STEP --impact")
    lineage = run.impact(step)
    return Answer(
        lambda: Group(rootcause.impact(lineage), rootcause.dominators(lineage, full=full)),
        lambda: {
            **blames.why_json(lineage, Blame(None, [])),
            "dominators": [one.id for one in lineage.dominators],
        },
    )


def _blame(options: argparse.Namespace) -> Answer:
    asked = " ".join(options.text) or None  # without quotes the shell makes several words of a phrase
    run = _run_before(options, None if asked else 'blame last "TEXT"')
    blamed = run.blame(asked, of=options.of)
    writers = writers_of(run.store, blamed)
    return Answer(
        lambda: blames.text(blamed, asked=asked, full=options.full, writers=writers),
        lambda: blames.json(blamed, writers),
    )


def _handoffs(options: argparse.Namespace) -> Answer:
    run = run_of(options)
    shown = [handoff for handoff in run.handoffs if handoff.told] if options.diff else run.handoffs
    return Answer(
        lambda: text.handoffs(shown, whole=options.diff, full=options.full), lambda: jsons.handoffs(shown)
    )


def _tools(options: argparse.Namespace) -> Answer:
    run = run_of(options)
    calls = run.tool_calls
    if options.failed:
        wrong = {finding.step.id for finding in run.findings if finding.tool is not None}
        calls = tuple(call for call in calls if call.step.status == "error" or call.step.id in wrong)
    return Answer(lambda: text.tools(calls, failed=options.failed), lambda: jsons.tools(calls))


def _logs(options: argparse.Namespace) -> Answer:
    run = run_of(options)
    lines = run.logs
    if options.agent is not None:
        if options.agent not in run.agents:
            there = ", ".join(run.agents) or "none"
            raise StepNotFoundError(
                f"no agent of this run is called {options.agent!r}; its agents are: {there}"
            )
        lines = tuple(line for line in lines if line.step.agent == options.agent)
    return Answer(lambda: logs.text(lines, agent=options.agent), lambda: logs.json(lines))
