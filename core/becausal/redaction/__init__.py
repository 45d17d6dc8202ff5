"""Secrets kept out of all that is recorded: what counts as one, and what is redacted with in this process.

Keys of vendors, tokens, passwords, private keys, credentials in URLs and headers and numbers of cards are replaced by
markers before anything is digested, stored, exported, logged or shown. The app's own values are never touched. See
`docs/privacy.md` for what is found and what is not.
"""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from re import Pattern
from traceback import format_exception

from becausal.errors import BecausalWarning, SettingsError
from becausal.redaction.engine import is_linear, linear
from becausal.redaction.kinds import IBAN, KINDS
from becausal.redaction.marker import MARKER, markers_in
from becausal.redaction.naming import name_for
from becausal.redaction.redactor import Redactor
from becausal.settings import DEFAULT_STORE, OFF, ON

__all__ = [
    "HEAD",
    "MARKER",
    "Redact",
    "Redaction",
    "Redactor",
    "beginning",
    "folder_of",
    "in_force",
    "markers_in",
    "read_redaction",
    "shown",
    "start",
    "stop",
    "use",
]


@dataclass(frozen=True)
class Redaction:
    """What is secret, beside or in place of what becausal knows by itself."""

    patterns: Sequence[str | Pattern[str]] = ()
    """What matches is secret; of a pattern with a group named `secret`, that group alone. A `str` that RE2 can read
    takes linear time; a compiled pattern takes what `re` takes."""
    keys: Sequence[str] = ()
    """Names of fields whose values are secret, such as `patient_id`; case, `-` and `_` do not matter."""
    callables: Sequence[Callable[[str], str]] = ()
    """Each takes a text and returns what may be kept of it. It must be quick: it is asked for every text."""
    builtin: bool = True
    """Whether the kinds that becausal knows are secret as well."""
    iban: bool = False
    """Whether numbers of bank accounts are."""

    def redactor(self, folder: Path | None) -> Redactor:
        """Return what redacts by this.

        Args:
            folder: where the key of its markers is kept; None: nowhere.

        Raises:
            SettingsError: a pattern is none.
        """
        kinds = (*(KINDS if self.builtin else ()), *((IBAN,) if self.iban else ()))
        try:
            return Redactor(
                kinds=kinds,
                own=(*self.patterns, *self.callables),
                keys=self.keys,
                builtin_keys=self.builtin,
                folder=folder,
            )
        except ValueError as flaw:
            raise SettingsError(f"redact: {flaw}") from None


Redact = bool | Redaction | Iterable[str | Pattern[str] | Callable[[str], str]] | None
"""What `becausal.instrument(redact=…)` takes."""


def read_redaction(
    argument: Redact,
    environ: Mapping[str, str] = os.environ,
) -> Redaction | None:
    """Return what an argument, else `BECAUSAL_REDACT`, asks for; None: nothing is redacted.

    Raises:
        SettingsError: the argument is none of this.
    """
    if argument is None:
        return None if environ.get("BECAUSAL_REDACT", "").strip().lower() in OFF else Redaction()
    if isinstance(argument, Redaction):
        return argument
    if isinstance(argument, bool):
        return Redaction() if argument else None
    if isinstance(argument, str) and argument.lower() in ("", *ON, *OFF):
        raise SettingsError(
            f"redact={argument!r} would be a pattern: write redact=False or redact=True, or [{argument!r}] if this "
            "very text is secret"
        )
    items = (argument,) if isinstance(argument, str | Pattern) or callable(argument) else tuple(argument)
    for item in items:
        if not isinstance(item, str | Pattern) and not callable(item):
            raise SettingsError(
                f"redact={item!r}: use False, a becausal.Redaction, or a list of patterns and functions str -> str"
            )
    return Redaction(
        patterns=tuple(item for item in items if isinstance(item, str | Pattern)),
        callables=tuple(item for item in items if not isinstance(item, str | Pattern)),
    )


def folder_of(store: str) -> Path | None:
    """Return where the key of a store's markers is kept: beside its file; None where there is no place for one."""
    scheme, _, place = (store if "://" in store else f"sqlite:///{store}").partition("://")
    if scheme == "sqlite":
        return None if place == "/:memory:" else _now(place[1:])
    return _now(DEFAULT_STORE.partition(":///")[2])


def _now(file: str) -> Path:
    """Return the folder of a file as it is now: an app may change its working directory before it meets a secret."""
    return Path(file).expanduser().absolute().parent


_in_force: Redactor | None = None
_is_set = False


def start(argument: Redact, store: str) -> Redactor | None:
    """Return what redacts what is recorded to a store, and have it redact our own log as well; None: nothing does.

    Raises:
        SettingsError: the argument means nothing.
    """
    asked = read_redaction(argument)
    redactor = None if asked is None else asked.redactor(folder_of(store))
    if asked is not None:
        _warn_of_backtracking(asked.patterns)
    use(redactor)
    name_for(folder_of(store))
    logging.getLogger("becausal").addFilter(_log_filter)
    return redactor


def _warn_of_backtracking(patterns: Iterable[str | Pattern[str]]) -> None:
    for pattern in patterns:
        if isinstance(pattern, str) and is_linear() and linear(pattern) is None:
            warnings.warn(
                f"redact: RE2 cannot read the pattern {pattern!r} (look-around, back references), so Python's `re` "
                "looks for it, which backtracks: some texts may hold the app up. Write it without these, with the "
                "secret in a group `(?P<secret>…)`",
                BecausalWarning,
                stacklevel=5,
            )


def use(redactor: Redactor | None) -> None:
    """Make this what redacts whatever no recorder passes on: our own log, what the receiver takes in."""
    global _in_force, _is_set
    _in_force, _is_set = redactor, True


def stop() -> None:
    """Go by the environment again."""
    global _in_force, _is_set
    _in_force, _is_set = None, False


def in_force() -> Redactor | None:
    """Return what redacts in this process; None: nothing does."""
    if not _is_set:
        asked = read_redaction(None)
        use(
            None
            if asked is None
            else asked.redactor(folder_of(os.environ.get("BECAUSAL_STORE") or DEFAULT_STORE))
        )
    return _in_force


def shown(text: str) -> str:
    """Return a text as it may be logged or shown."""
    redactor = in_force()
    return text if redactor is None else redactor.text(text)


HEAD = 200
"""Characters of a text that stand for it in a decision; the whole stands in a payload."""

NEAR = 64
"""Characters in which a text that is cut has a blank, unless it is no prose."""

AHEAD = 4_096
"""Characters that are read beyond a cut for a secret that it would fall into."""


def beginning(text: str, most: int = HEAD) -> str:
    """Return the beginning of a text; a cut is marked, and falls between words.

    Of half a secret nothing would tell that it is one: it would be recorded as it stands.
    """
    if len(text) <= most:
        return text
    near = most - min(NEAR, most // 2)
    blank = max(text.rfind(" ", near, most), text.rfind("\n", near, most))
    return (text[:blank] if blank > 0 else shown(text[: most + AHEAD])[: most - 1]) + "…"


class _LogFilter(logging.Filter):
    """Takes the secrets out of what we log ourselves: a failure may quote what it failed on."""

    def filter(self, record: logging.LogRecord) -> bool:
        said = record.getMessage()
        if (kept := shown(said)) != said:
            record.msg, record.args = kept, None
        if record.exc_info and record.exc_info[0] is not None:
            traceback = "".join(format_exception(record.exc_info[1]))
            if (kept := shown(traceback)) != traceback:
                record.exc_text, record.exc_info = kept.rstrip("\n"), None
        return True


_log_filter = _LogFilter()
