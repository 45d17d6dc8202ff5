"""The matching of patterns, in time linear in the text.

RE2 builds an automaton of all patterns at once: it reads each byte once whatever it is told to look for, so neither a
hostile text nor a careless pattern can hold the app up (`re` backtracks, and takes forty times as long on ordinary
text). Where RE2 cannot be had the same patterns go through `re`; they nest no repetitions, so that stays bounded.

Patterns are ASCII and are matched against bytes: what stands in a store is bytes, and UTF-8 keeps ASCII apart from all
else.
"""

from __future__ import annotations

import functools
import importlib
import re
from collections.abc import Callable, Sequence
from typing import Any, Protocol

__all__ = ["Found", "Pattern", "Sieve", "compiled", "is_linear", "linear"]

MAX_MEMORY = 64 << 20
"""Bytes that RE2 may take for one automaton; beyond, it begins it anew and grows slower, never wrong."""


class Found(Protocol):
    """One match."""

    @property
    def lastindex(self) -> int:
        """The number of the group that matched: each alternative has one."""

    def span(self, group: int = 0, /) -> tuple[int, int]:
        """Return where a group matched."""


class Pattern(Protocol):
    """A compiled pattern."""

    def search(self, text: bytes, pos: int = 0, /) -> Any:
        """Return the first match from a place on, a `Found`; None where there is none."""


def compiled(pattern: str, *, by_re2: bool = True) -> Pattern:
    """Return a pattern that is ready to be looked for in bytes.

    Raises:
        ValueError: neither engine can read it.
    """
    made: Pattern
    re2 = _re2()
    try:
        if re2 is not None and by_re2:
            made = re2.compile(pattern.encode("latin-1"), _options(re2))
        else:
            made = re.compile(pattern.encode("latin-1"))
    except (re.error, ValueError, getattr(re2, "error", re.error)) as flaw:
        raise ValueError(f"{pattern!r} is no pattern: {flaw}") from None
    return made


class Sieve:
    """Tells whether one of some patterns may match anywhere, and no more: that takes less time than to say where."""

    def __init__(
        self, patterns: Sequence[str], screen: Callable[[], Callable[[bytes], bool]], *, by_re2: bool = True
    ) -> None:
        """Make one.

        Args:
            patterns: what it tells of.
            screen: makes what tells of it where RE2 is not there: true wherever it matters that one of them matches.
            by_re2: whether RE2 is used where it is there.

        Raises:
            ValueError: neither engine can read the patterns.
        """
        self._patterns, self._by_re2 = tuple(patterns), by_re2
        self.matches: Callable[[bytes], Any]
        """Takes bytes, and returns what is true where a pattern matches: by RE2, a list of which ones do."""
        re2 = _re2() if by_re2 else None
        self.is_screen = re2 is None
        """Whether what it says is judged already."""
        if re2 is None:
            self.matches = screen()
            return
        try:
            made = _set_of(re2, self._patterns)
        except re2.error as flaw:
            raise ValueError(f"{patterns!r} are no patterns: {flaw}") from None
        # What the wrapper hands bytes on to, where it has the name that it has in google-re2 1.0 and 1.1.
        self.matches = getattr(made, "_set", made).Match

    def search(self, content: bytes, at: int = 0) -> Any:
        """Return the first match from a place on, a `Found`; None where there is none."""
        return self._exact.search(content, at)

    @functools.cached_property
    def _exact(self) -> Pattern:
        return compiled("|".join(self._patterns), by_re2=self._by_re2)


def linear(pattern: str) -> Any:
    """Return a pattern for texts, used like one of `re`, that takes linear time; None where RE2 cannot read it."""
    re2 = _re2()
    if re2 is None:
        return None
    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(pattern, options)
    except re2.error:
        return None


def is_linear() -> bool:
    """Return whether RE2 is here."""
    return _re2() is not None


@functools.cache
def _re2() -> Any:
    """Return the module, imported when the first pattern is compiled; None where it is not (extra `fast`)."""
    try:
        return importlib.import_module("re2")
    except ImportError:
        return None


@functools.lru_cache(maxsize=8)
def _set_of(re2: Any, patterns: tuple[str, ...]) -> Any:
    """Return patterns as RE2's set, made once: that takes 8 ms, and an app may be hooked again and again."""
    made = re2.Set.SearchSet(_options(re2))
    for pattern in patterns:
        made.Add(pattern.encode("latin-1"))
    made.Compile()
    return made


def _options(re2: Any) -> Any:
    options = re2.Options()
    options.encoding = options.Encoding.LATIN1
    options.log_errors = False
    options.max_mem = MAX_MEMORY
    return options
