"""What must hold of a damaged store: no traceback, no hang, nothing quoted, and what is whole is there."""

from __future__ import annotations

import io
import json
import random
import re
import shutil
import signal
import sys
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path

from tests.damaging.victim import KEY, MEMORY, SECRET, Told, within

from becausal.cli import main
from becausal.errors import BecausalError, StoreError
from becausal.store import open_store

__all__ = ["Look"]

LONGEST_S = 60
"""A command that takes longer hangs."""

SHOWING = ("show", "why", "blame", "handoffs", "tools", "logs", "health", "drift", "findings", "report")
"""Commands that take a run and change nothing."""


ASKING: tuple[tuple[str, ...], ...] = (
    *(("memory",), ("memory", f"{MEMORY}/{KEY} 1", "--readers"), ("contaminated", f"{MEMORY}/{KEY} 1")),
    *(("findings",), ("orphans",), ("doctor",)),
)
"""Commands about the store as a whole."""


class Hung(BaseException):
    """A command took too long."""


@dataclass
class Look:
    """One look at a damaged store."""

    path: Path
    runs: Mapping[str, Told]
    """As they were before."""
    seen: Counter[str]
    wrong: list[str] = field(default_factory=list)

    def all(self, chance: random.Random) -> list[str]:
        """Have every command at the store, those that change it at copies; returns what is wrong, in words."""
        whole = self._whole(self.path)
        self.seen["whole runs"] += len(whole)
        self.seen["damaged runs"] += len(self.runs) - len(whole)
        self._listed(whole)
        asked = sorted(chance.sample(sorted(whole), min(1, len(whole))))
        asked += chance.sample(sorted(self.runs.keys() - whole), min(1, len(self.runs) - len(whole)))
        for run in asked:
            for command in chance.sample(SHOWING, 4):
                self._shown(command, run, is_whole=run in whole)
        for asking in chance.sample(ASKING, 3):
            self._run(*asking)
        self._exported(whole)
        self._pruned(whole)
        self._erased(whole)
        self._erased_run(chance.choice(sorted(self.runs)), whole)
        return self.wrong

    def _listed(self, whole: set[str]) -> None:
        status, out, _ = self._run("runs", "--limit", "1000", "--json")
        if status == 2:
            if whole:
                self._say(f"runs refuses though {len(whole)} runs are whole")
            return
        listed = {one["chain_id"]: one for one in json.loads(out)}
        if lost := whole - listed.keys():
            self._say(f"runs does not list {len(lost)} of {len(whole)} whole runs")
        if any(listed[one].get("damaged") for one in whole & listed.keys()):
            self._say("runs calls a whole run damaged")
        told = {id for id, one in listed.items() if one.get("damaged")}
        if status != (1 if told else 0):
            self._say(f"runs ends with {status}, and {len(told)} are told as damaged")
        self._run("runs")

    def _shown(self, command: str, run: str, *, is_whole: bool) -> None:
        status, _, err = self._run(command, run)
        if is_whole and status == 2 and "nobody" not in err:
            self._say(f"{command} refuses a whole run: {err.strip()[:300]}")

    def _exported(self, whole: set[str]) -> None:
        archive, new = self.path.with_name("all.tar"), self.path.with_name("new.db")
        for old in (archive, new):
            old.unlink(missing_ok=True)
        status, _, err = self._run("export", "all", "-o", str(archive))
        if status == 2:
            if whole:
                self._say(f"export all refuses though {len(whole)} runs are whole: {err.strip()[:300]}")
            if archive.exists():
                self._say("export all refuses, and leaves a file")
            return
        if status == 0 and len(whole) < len(self.runs):
            self.seen["exports that went well though runs had changed"] += 1
        took, _, err = self._run("import", str(archive), store=new)
        if took == 2:
            self._say(f"what was exported cannot be imported: {err.strip()[:300]}")
            return
        if lost := whole - self._whole(new):
            self._say(
                f"{len(lost)} of {len(whole)} whole runs are not in what was exported (status {status})"
            )
        for old in (archive, new):
            old.unlink(missing_ok=True)

    def _pruned(self, whole: set[str]) -> None:
        with self._copy() as copy:
            status, _, err = self._run("prune", "--keep-last", "6", store=copy)
            left = self._whole(copy)
            if status == 2 and left != whole:
                self._say(f"prune refuses, and {len(whole - left)} whole runs are gone: {err.strip()[:200]}")
            newest = sorted(whole)[-2:] if len(whole) == len(self.runs) else []
            if lost := set(newest) - left:
                self._say(f"prune has lost {len(lost)} of the newest")
            self.seen[f"prune: {status}"] += 1

    def _erased(self, whole: set[str]) -> None:
        with self._copy() as copy:
            status, out, err = self._run("erase", "--text", SECRET, "--yes", store=copy)
            self.seen[f"erase: {status}"] += 1
            if status == 2 and (lost := whole - self._whole(copy)):
                self._say(
                    f"erase refuses, and {len(lost)} whole runs are not as they were: {err.strip()[:200]}"
                )
            if status != 2 and (lost := whole - self._readable(copy, whole)):
                self._say(f"erase has lost {len(lost)} whole runs")
            there = self._bytes(copy)
            if status == 0 and SECRET.encode() in there:
                self._say("erase says that all is well, and it is there")
            if status == 1 and not re.search("run|memory|page", out + err):
                self._say(f"erase does not say what it could not read: {(out + err)[:200]}")

    def _erased_run(self, run: str, whole: set[str]) -> None:
        with self._copy() as copy:
            status, _, err = self._run("erase", "--run", run, "--yes", store=copy)
            self.seen[f"erase a run: {status}"] += 1
            others = whole - {run}
            if lost := others - self._readable(copy, others):
                self._say(f"erase of one run has lost {len(lost)} others: {err.strip()[:200]}")

    # Inside

    def _say(self, what: str) -> None:
        self.wrong.append(what)

    def _run(self, *arguments: str, store: Path | None = None) -> tuple[int, str, str]:
        """Carry out a command; returns its status and what it printed."""
        out, err = io.StringIO(), io.StringIO()
        typed = [*arguments, "--store", str(store or self.path)]
        self.seen["commands"] += 1
        try:
            with redirect_stdout(out), redirect_stderr(err), _deadline():
                status = main(typed)
        except SystemExit as ended:
            status = ended.code if isinstance(ended.code, int) else 2
        except Hung:
            self._say(f"{arguments[0]} hangs")
            return 2, "", ""
        except BaseException as failure:
            where = traceback.extract_tb(failure.__traceback__)[-1]
            self._say(
                f"{' '.join(arguments[:2])}: a traceback: {type(failure).__name__}: {str(failure)[:150]} "
                f"({Path(where.filename).name}:{where.lineno})"
            )
            return 2, "", ""
        if "Traceback" in err.getvalue():
            self._say(f"{arguments[0]} prints a traceback")
        if "is damaged" in err.getvalue() and "Jane" in err.getvalue():
            self._say(f"{arguments[0]} quotes what is stored: {err.getvalue()[:200]}")
        if status not in (0, 1, 2):
            self._say(f"{arguments[0]} ends with {status}")
        if status == 2 and not err.getvalue().strip():
            self._say(f"{arguments[0]} ends with 2 and says nothing")
        return status, out.getvalue(), err.getvalue()

    def _whole(self, path: Path) -> set[str]:
        """Return which runs are as they were."""
        return self._asked(path, lambda store: within(path, store, self.runs))

    def _readable(self, path: Path, runs: set[str]) -> set[str]:
        """Return which runs can be loaded."""

        def can(store: object, run: str) -> bool:
            try:
                return bool(store.load(run))  # type: ignore[attr-defined]
            except BecausalError:
                return False

        return self._asked(path, lambda store: {run for run in runs if can(store, run)})

    def _asked(self, path: Path, ask: Callable[..., set[str]]) -> set[str]:
        try:
            store = open_store(str(path), read_only=True)
        except StoreError:
            return set()
        try:
            return ask(store)
        finally:
            store.close()

    def _bytes(self, path: Path) -> bytes:
        return b"".join(each.read_bytes() for each in path.parent.glob(f"{path.name}*"))

    @contextmanager
    def _copy(self) -> Iterator[Path]:
        """Give a copy of the store, with what is beside it."""
        folder = self.path.parent / "copy"
        folder.mkdir()
        for each in self.path.parent.glob(f"{self.path.name}*"):
            shutil.copy(each, folder)
        try:
            yield folder / self.path.name
        finally:
            shutil.rmtree(folder)


@contextmanager
def _deadline() -> Iterator[None]:
    def hung(*_: object) -> None:
        traceback.print_stack(file=sys.__stderr__)
        raise Hung

    former = signal.signal(signal.SIGALRM, hung)
    signal.alarm(LONGEST_S)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, former)
