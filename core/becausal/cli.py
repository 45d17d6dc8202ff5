"""The command `becausal`: reads its arguments, asks a run, prints.

Exit status: 0 fine, 1 findings at or above `--fail-on`, 2 wrong use.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib.metadata
import io
import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, TextIO, TypeAlias

from rich.console import Console, RenderableType
from rich.text import Text

from becausal import run as loading
from becausal.doctor import diagnose
from becausal.errors import BecausalError
from becausal.finding import SEVERITIES
from becausal.run import Run, Runs
from becausal.settings import Settings
from becausal.suggestions import suggest
from becausal.views import checkup, findings, memory, text
from becausal.views import json as jsons

__all__ = ["main"]

FINE, FOUND, WRONG_USE = 0, 1, 2

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"

WIDTH_OF_A_PIPE = 160
"""Columns, where the output is no terminal."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command found, for people and for programs."""

    shown: Callable[[], RenderableType]
    data: Callable[[], object]
    run: Run | None = None
    """Whose findings decide the exit status."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status.

    Args:
        arguments: as typed after `becausal`; None for those of this process.
    """
    options = _parser().parse_args(arguments)
    answer: Callable[[argparse.Namespace], Answer] = options.answer
    try:
        answered = answer(options)
        _print(answered, options)
        return _status(answered, options)
    except BecausalError as refusal:
        sys.stderr.write(f"becausal: {refusal}\n")
        return WRONG_USE
    except BrokenPipeError:
        # Whoever read us has seen enough (`becausal runs | head`); Python would complain once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return FINE


# The commands


def _runs(options: argparse.Namespace) -> Answer:
    with _open(options) as runs:
        infos = runs.list(limit=options.limit)
        return Answer(lambda: text.runs(infos), lambda: jsons.runs(infos))


def _show(options: argparse.Namespace) -> Answer:
    run = _run(options)
    return Answer(lambda: text.run(run), lambda: jsons.run(run), run)


def _why(options: argparse.Namespace) -> Answer:
    run = _run(options)
    lineage, blamed = run.why(options.step), run.blame(of=options.step)
    return Answer(lambda: text.why(lineage, blamed), lambda: jsons.why(lineage, blamed))


def _blame(options: argparse.Namespace) -> Answer:
    blamed = _run(options).blame(options.text, of=options.of)
    return Answer(lambda: text.blame(blamed, asked=options.text), lambda: jsons.blame(blamed))


def _handoffs(options: argparse.Namespace) -> Answer:
    run = _run(options)
    shown = [handoff for handoff in run.handoffs if handoff.told] if options.diff else run.handoffs
    return Answer(lambda: text.handoffs(shown, whole=options.diff), lambda: jsons.handoffs(shown))


def _tools(options: argparse.Namespace) -> Answer:
    run = _run(options)
    calls = run.tool_calls
    if options.failed:
        wrong = {finding.step.id for finding in run.findings if finding.tool is not None}
        calls = tuple(call for call in calls if call.step.status == "error" or call.step.id in wrong)
    return Answer(lambda: text.tools(calls, failed=options.failed), lambda: jsons.tools(calls))


def _memory(options: argparse.Namespace) -> Answer:
    runs = _open(options)
    found = memory.look_up(
        runs,
        options.key,
        run=options.run,
        at=options.at,
        only_last=options.blame,
        readers=options.readers,
    )
    return Answer(lambda: memory.text(found), lambda: memory.json(found))


def _findings(options: argparse.Namespace) -> Answer:
    run = _run(options)
    return Answer(lambda: findings.text(run), lambda: findings.json(run), run)


def _contracts(options: argparse.Namespace) -> Answer:
    runs = _open(options)
    loaded = (runs.get(info.chain_id) for info in runs.list(limit=options.runs))
    found = suggest(loaded)
    nothing = "Nothing to suggest yet: it takes three handoffs between two agents, in runs without a finding."
    return Answer(
        lambda: Text("\n".join(map(str, found)) or nothing),
        lambda: [dataclasses.asdict(suggestion) for suggestion in found],
    )


def _doctor(options: argparse.Namespace) -> Answer:
    found = diagnose(_store(options))
    return Answer(lambda: checkup.text(found), lambda: checkup.json(found))


def _status(answer: Answer, options: argparse.Namespace) -> int:
    """Return 1 where the run that was asked about has findings as bad as `--fail-on` says."""
    if answer.run is None:
        return FINE
    least = SEVERITIES.index(options.fail_on)
    bad = any(SEVERITIES.index(finding.severity) >= least for finding in answer.run.findings)
    return FOUND if bad else FINE


def _run(options: argparse.Namespace) -> Run:
    # Not closed: the views read payloads while they are printed, and the process ends after that.
    runs = _open(options)
    return runs.last() if options.run == "last" else runs.get(options.run)


def _open(options: argparse.Namespace) -> Runs:
    return loading.open(_store(options))


def _store(options: argparse.Namespace) -> str:
    store: str | None = options.store
    return store or Settings.read().store


# Arguments and output


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="becausal",
        description="Ask recorded runs what caused what.",
        epilog=__doc__.partition("\n\n")[2],
    )
    parser.add_argument("--version", action="version", version=importlib.metadata.version("becausal"))
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    _add_looking(commands)
    _add_memory(commands)
    _add_judging(commands)
    _command(
        commands,
        "doctor",
        _doctor,
        "check adapters, versions, other instrumentors and the store",
        takes_run=False,
    )
    return parser


def _add_looking(commands: Commands) -> None:
    runs = _command(commands, "runs", _runs, "list the recorded runs, newest first", takes_run=False)
    runs.add_argument("--limit", type=int, default=20, metavar="N", help="at most so many (default: 20)")
    show = _command(commands, "show", _show, "show a run as a tree, with its handoffs and decisions")
    _add_fail_on(show)
    why = _command(commands, "why", _why, "show everything that led to the output, or to a step")
    why.add_argument("step", nargs="?", metavar="STEP", help="a step's id or the beginning of it")
    blame = _command(commands, "blame", _blame, "show where the output, or a text in it, came in")
    blame.add_argument("text", nargs="?", metavar="TEXT", help="a phrase or a number of the output")
    blame.add_argument("--of", metavar="STEP", help="ask about another step than the output's")
    passed = _command(commands, "handoffs", _handoffs, "list a run's handoffs and what changed on the way")
    passed.add_argument("--diff", action="store_true", help="those that changed, each change whole")
    called = _command(commands, "tools", _tools, "list a run's tool calls")
    called.add_argument("--failed", action="store_true", help="those that failed, or that a finding names")


def _add_memory(commands: Commands) -> None:
    held = _command(
        commands,
        "memory",
        _memory,
        "show what a key of a shared memory held, version by version, and who wrote and read it",
        takes_run=False,
    )
    held.add_argument(
        "key", nargs="?", metavar="KEY", help="a key, or memory/key (default: what every key holds)"
    )
    held.add_argument(
        "--run", metavar="RUN", help="what one run tells, state channels included (default: all runs)"
    )
    held.add_argument("--at", type=int, metavar="SEQ", help="as it stood at a causal sequence number")
    held.add_argument("--blame", action="store_true", help="only who wrote what it holds")
    held.add_argument("--readers", action="store_true", help="also who read it")


def _add_judging(commands: Commands) -> None:
    found = _command(
        commands, "findings", _findings, "list what is wrong in a run, with the evidence", takes_run=False
    )
    found.add_argument(
        "run",
        nargs="?",
        default="last",
        metavar="RUN",
        help="a chain id, the beginning of one, or `last` (default)",
    )
    _add_fail_on(found)
    contracts = _command(
        commands,
        "contracts",
        _contracts,
        "suggest contracts for handoffs, from what good runs have always carried",
        takes_run=False,
    )
    contracts.add_argument("action", choices=("suggest",), help="what to do")
    contracts.add_argument(
        "--runs",
        type=int,
        default=50,
        metavar="N",
        help="learn from so many of the newest runs (default: 50)",
    )


def _add_fail_on(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--fail-on",
        choices=SEVERITIES,
        default="error",
        help="exit with 1 if the run has findings of this severity or a worse one (default: error)",
    )


def _command(
    commands: Commands,
    name: str,
    answer: Callable[[argparse.Namespace], Answer],
    help: str,
    *,
    takes_run: bool = True,
) -> argparse.ArgumentParser:
    command = commands.add_parser(name, help=help, description=f"{help[0].upper()}{help[1:]}.")
    command.set_defaults(answer=answer)
    if takes_run:
        command.add_argument("run", metavar="RUN", help="a chain id, the beginning of one, or `last`")
    command.add_argument(
        "--store",
        metavar="URL",
        help="a store's URL or path (default: BECAUSAL_STORE, else .becausal/becausal.db)",
    )
    command.add_argument("--json", action="store_true", help="print JSON")
    command.add_argument("--no-color", action="store_true", help="print without colour (as NO_COLOR does)")
    return command


def _print(answer: Answer, options: argparse.Namespace) -> None:
    if options.json:
        sys.stdout.write(json.dumps(answer.data(), indent=2, ensure_ascii=True, allow_nan=False) + "\n")
    else:
        _console(sys.stdout, plain=options.no_color).print(answer.shown())
    sys.stdout.flush()


def _console(out: TextIO, *, plain: bool) -> Console:
    if isinstance(out, io.TextIOWrapper):
        out.reconfigure(errors="replace")  # a terminal that has no ⇒ shows a ?, and not a traceback
    width = None if out.isatty() or "COLUMNS" in os.environ else WIDTH_OF_A_PIPE
    # rich's own reading of NO_COLOR keeps bold; ours prints no escape sequence at all.
    colors: Literal["auto"] | None = None if plain or os.environ.get("NO_COLOR") else "auto"
    return Console(file=out, color_system=colors, highlight=False, markup=False, emoji=False, width=width)
