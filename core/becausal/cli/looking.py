"""The commands that show a run: `runs`, `show`, `why`, `blame`, `handoffs`, `tools`, `logs`."""

from __future__ import annotations

import argparse

from rich.console import Group
from rich.text import Text

from becausal.blame import Blame
from becausal.cli.command import (
    FINE,
    FOUND,
    Answer,
    Commands,
    add_command,
    add_fail_on,
    add_part,
    by_findings,
    count,
    run_of,
    runs_of,
)
from becausal.counted import counted
from becausal.errors import StepNotFoundError
from becausal.run import Run
from becausal.views import blame as blames
from becausal.views import json as jsons
from becausal.views import logs, rootcause, text

__all__ = ["add_to"]

SHOWN = 200
"""Steps of a long run that are shown where nobody says how many."""


def add_to(commands: Commands) -> None:
    """Add these commands."""
    runs = add_command(commands, "runs", _runs, "list the recorded runs, newest first", takes_run=False)
    runs.add_argument("--limit", type=count, default=20, metavar="N", help="at most so many (default: 20)")
    runs.add_argument(
        "--all", action="store_true", help="replays, and what memories did outside of every run, too"
    )
    show = add_command(commands, "show", _show, "show a run as a tree, with its handoffs and decisions")
    add_fail_on(show)
    add_part(show, usual=SHOWN)
    why = add_command(commands, "why", _why, "show everything that led to the output, or to a step")
    why.add_argument(
        "step",
        nargs="?",
        metavar="STEP",
        help="a step's id or the beginning of it, or an agent's or tool's name",
    )
    why.add_argument("--impact", action="store_true", help="show what came of STEP, not what led to it")
    blame = add_command(commands, "blame", _blame, "show where the output, or a text in it, came in")
    blame.add_argument("text", nargs="*", metavar="TEXT", help="a phrase or a number of the output")
    blame.add_argument(
        "--of", metavar="STEP", help="ask about another step than the output's: its id, or an agent's name"
    )
    passed = add_command(commands, "handoffs", _handoffs, "list a run's handoffs and what changed on the way")
    passed.add_argument("--diff", action="store_true", help="those that changed, each change whole")
    called = add_command(commands, "tools", _tools, "list a run's tool calls")
    called.add_argument("--failed", action="store_true", help="those that failed, or that a finding names")
    written = add_command(commands, "logs", _logs, "list what the app logged inside a run's steps")
    written.add_argument("--agent", metavar="NAME", help="only what one agent's steps logged")
    for command in (why, blame, passed, called, written):
        add_part(command)


def _runs(options: argparse.Namespace) -> Answer:
    with runs_of(options) as runs:
        infos = runs.list(limit=options.limit, replays=options.all)
    damaged = sum(info.is_damaged for info in infos)
    told = (
        [Text(f"{counted(damaged, 'run')} cannot be read whole: becausal doctor says more")]
        if damaged
        else []
    )
    return Answer(
        lambda: Group(text.runs(infos), *told) if told else text.runs(infos),
        lambda: jsons.runs(infos),
        lambda: FOUND if damaged else FINE,
    )


def _show(options: argparse.Namespace) -> Answer:
    run = run_of(options)
    return Answer(lambda: text.run(run), lambda: jsons.run(run), by_findings(run, options))


def _why(options: argparse.Namespace) -> Answer:
    run = run_of(options)
    if options.impact:
        return _impact(run, options.step)
    lineage, blamed, suspects = (
        run.why(options.step),
        run.blame(of=options.step),
        run.root_cause(options.step),
    )
    return Answer(
        lambda: Group(
            blames.why(lineage, blamed),
            rootcause.dominators(lineage),
            *(
                [Text("\nwho may have caused what is wrong", "italic"), rootcause.text(suspects)]
                if suspects
                else []
            ),
        ),
        lambda: {
            **blames.why_json(lineage, blamed),
            "dominators": [step.id for step in lineage.dominators],
            "suspects": rootcause.json(suspects),
        },
    )


def _impact(run: Run, step: str | None) -> Answer:
    if step is None:
        raise StepNotFoundError("name the step whose impact is asked about: becausal why RUN STEP --impact")
    lineage = run.impact(step)
    return Answer(
        lambda: Group(rootcause.impact(lineage), rootcause.dominators(lineage)),
        lambda: {
            **blames.why_json(lineage, Blame(None, [])),
            "dominators": [one.id for one in lineage.dominators],
        },
    )


def _blame(options: argparse.Namespace) -> Answer:
    asked = " ".join(options.text) or None  # without quotes the shell makes several words of a phrase
    blamed = run_of(options).blame(asked, of=options.of)
    return Answer(lambda: blames.text(blamed, asked=asked), lambda: blames.json(blamed))


def _handoffs(options: argparse.Namespace) -> Answer:
    run = run_of(options)
    shown = [handoff for handoff in run.handoffs if handoff.told] if options.diff else run.handoffs
    return Answer(lambda: text.handoffs(shown, whole=options.diff), lambda: jsons.handoffs(shown))


def _tools(options: argparse.Namespace) -> Answer:
    run = run_of(options)
    calls = run.tool_calls
    if options.failed:
        wrong = {finding.step.id for finding in run.findings if finding.tool is not None}
        calls = tuple(call for call in calls if call.step.status == "error" or call.step.id in wrong)
    return Answer(lambda: text.tools(calls, failed=options.failed), lambda: jsons.tools(calls))


def _logs(options: argparse.Namespace) -> Answer:
    lines = run_of(options).logs
    if options.agent:
        lines = tuple(line for line in lines if line.step.agent == options.agent)
    return Answer(lambda: logs.text(lines), lambda: logs.json(lines))
