"""What an adapter is, how those that are installed are found, and how they are put in.

Adapters are found by the entry-point group `becausal.adapters`; nothing of a framework is imported to find them.
"""

from __future__ import annotations

import re
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

from becausal.errors import AdapterError, BecausalWarning
from becausal.guard import note_failure
from becausal.installed import installed_version, name_of, own_version
from becausal.recorder import Recorder

__all__ = [
    "Adapter",
    "AdapterReport",
    "Chosen",
    "Hook",
    "Hooks",
    "adapters",
    "choose",
    "in_range",
    "install",
    "reports",
    "version_of",
]

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

GROUP = "becausal.adapters"
"""The entry points that are adapters."""


@dataclass(slots=True)
class Hook:
    """One hooked place."""

    place: str
    """`module:Class.method`."""
    state: Literal["waiting", "hooked", "gone"]
    """`waiting` until its module is imported; `gone`: this version of the framework has no such place."""


@dataclass(slots=True)
class Hooks:
    """What an adapter has hooked, and how to take it out again."""

    installed: list[Hook] = field(default_factory=list)
    undos: list[Callable[[], None]] = field(default_factory=list)

    def add(self, place: str) -> Hook:
        """Note a place that is to be hooked."""
        hook = Hook(place, "waiting")
        self.installed.append(hook)
        return hook

    def undo(self) -> None:
        """Take every hook out, the last one first."""
        while self.undos:
            self.undos.pop()()
        self.installed.clear()


class Adapter(Protocol):
    """An integration: knows where a framework is hooked and what its values mean."""

    watches: str | None
    """The distribution whose version counts; None for the standard library."""
    supports: str
    """The versions that it was checked with, as a PEP 440 specifier."""
    requires: tuple[str, ...]
    """Other adapters that it stands on."""
    arrives_with: tuple[str, ...]
    """Top-level packages: it is installed before the first of them is imported; none: at once."""

    def install(self, recorder: Recorder, hooks: Hooks) -> None:
        """Hook every place, each noted in `hooks` with what undoes it."""


@dataclass(frozen=True, slots=True)
class AdapterReport:
    """What is to be known of one adapter on this machine."""

    name: str
    watches: str | None
    version: str | None
    """None: not installed."""
    supports: str
    is_supported: bool
    hooks: tuple[Hook, ...] = ()


class Chosen(NamedTuple):
    """The adapters that are to be put in."""

    known: Mapping[str, Adapter]
    """All there are, by name."""
    versions: Mapping[str, str | None]
    """Of what each watches; None where it is not installed."""
    named: Sequence[str]
    """Those that were asked for by name."""
    order: Sequence[str]
    """Those that are to be put in, each after those that it stands on."""


def adapters() -> dict[str, Adapter]:
    """Return the adapters that are installed, by name; none of them has imported its framework.

    One that cannot be loaded is warned of and left out.
    """
    found: dict[str, Adapter] = {}
    for point in sorted(_entry_points(), key=lambda point: point.name):
        try:
            found[point.name] = point.load()()
        except Exception as failure:  # whatever a package of somebody else's does on import
            warnings.warn(
                f"the adapter {point.name!r} ({point.value}) cannot be loaded and is left out: {failure!r}",
                BecausalWarning,
                stacklevel=3,
            )
    return found


def _entry_points() -> Iterator[EntryPoint]:
    """Yield what distributions say of adapters; of nearly all it is enough to see that they do not speak of any."""
    from importlib import metadata

    asked: set[str | None] = set()
    for distribution in metadata.distributions():
        if GROUP not in (distribution.read_text("entry_points.txt") or ""):
            continue
        name = name_of(distribution)
        if name is None or name not in asked:
            asked.add(name)
            # Of several of one name it is the first on the path that counts, and that one may speak of none.
            first = None if name is None else next(iter(metadata.distributions(name=name)), None)
            yield from (first or distribution).entry_points.select(group=GROUP)


def version_of(adapter: Adapter) -> str | None:
    """Return the version of what an adapter watches: empty for the standard library, None where it is not installed."""
    return "" if adapter.watches is None else installed_version(adapter.watches)


def in_range(version: str, supports: str) -> bool:
    """Return whether an adapter was checked with a version."""
    if not version:
        return True
    if (limits := _PLAIN.fullmatch(supports)) is not None and (release := _release(version)) is not None:
        least, beyond = map(_release, limits.groups())
        return least is not None and beyond is not None and least <= release < beyond
    from packaging.specifiers import SpecifierSet

    return SpecifierSet(supports).contains(version, prereleases=True)


_PLAIN = re.compile(r">=([0-9.]+),<([0-9.]+)")
"""What adapters say, and nearly every version, are numbers: `packaging` takes as long to import as an adapter."""


def _release(version: str) -> tuple[int, ...] | None:
    """Return the numbers of a release, without noughts at their end; None for a version that has more than numbers."""
    numbers = version.split(".")
    if not all(number.isdecimal() and number.isascii() for number in numbers):
        return None
    release = [*map(int, numbers)]
    while release and not release[-1]:
        release.pop()
    return tuple(release)


def choose(frameworks: Sequence[str], known: dict[str, Adapter]) -> Chosen:
    """Return the adapters to install.

    Args:
        frameworks: those that were asked for by name; none: all whose framework is installed.
        known: every adapter, by name.

    Raises:
        AdapterError: there is no adapter of a name, or its framework is not installed.
    """
    named = [_called(name.lower(), known) for name in frameworks]
    versions = {name: version_of(adapter) for name, adapter in known.items()}
    for name in named:
        if name not in known:
            there = ", ".join(sorted(known)) or "none: is becausal itself installed?"
            raise AdapterError(f"no adapter is called {name!r}; there are: {there}")
        if versions[name] is None:
            raise AdapterError(
                f"{known[name].watches} is not installed, so {name!r} cannot be instrumented: "
                f"pip install 'becausal[{name}]'"
            )
    everything = [name for name in known if versions[name] is not None]
    standing = [name for name, adapter in known.items() if adapter.watches is None]
    order: dict[str, None] = {}

    def add(names: Iterable[str]) -> None:
        for name in names:
            if name in known and name not in order:
                add(known[name].requires)
                order[name] = None

    add(standing)
    add(named or everything)
    return Chosen(known, versions, named, list(order))


def _called(name: str, known: dict[str, Adapter]) -> str:
    """Return the name of the adapter that somebody means: a framework may be called as its package is."""
    return name if name in known else name.replace("-", "_")


def install(chosen: Chosen, recorder: Recorder, hooks: dict[str, Hooks]) -> None:
    """Put in what is not in yet, or have it put in when its framework comes.

    One that was asked for by name and cannot be put in is an error; others are passed over.

    Args:
        chosen: what is to be put in.
        recorder: what it is to tell.
        hooks: what is in, by the adapter's name; is added to.
    """
    for name in chosen.order:
        if name not in hooks and _may_be_put_in(name, chosen):
            _install(name, chosen.known[name], recorder, hooks, was_named=name in chosen.named)
    recorder.packages = _packages({chosen.known[name].watches: chosen.versions[name] for name in hooks})


def _may_be_put_in(name: str, chosen: Chosen) -> bool:
    """Return whether a framework is of a version that was checked, or was asked for by name; warn if it is not."""
    adapter, version, was_named = chosen.known[name], chosen.versions[name], name in chosen.named
    if version is None or in_range(version, adapter.supports):
        return True
    done = "what still fits is recorded" if was_named else f"it is left alone, unless it is named: {name!r}"
    warnings.warn(
        f"{adapter.watches} {version} is outside the range that becausal was checked with "
        f"({adapter.supports}); {done}. `becausal doctor` shows what fits.",
        BecausalWarning,
        stacklevel=4,  # past `install` and `instrument`, into the app
    )
    return was_named  # a hook in a place that has another meaning now could harm the app


def _install(
    name: str, adapter: Adapter, recorder: Recorder, hooks: dict[str, Hooks], *, was_named: bool
) -> None:
    from becausal.arrival import before_import  # here: `import becausal` need not wait for it

    def put_in() -> None:
        try:
            adapter.install(recorder, own)
        except BaseException as failure:
            own.undo()
            del hooks[name]
            if was_named or not isinstance(failure, Exception):
                raise
            note_failure(f"the adapter {name!r}", failure)

    own = hooks[name] = Hooks()
    if was_named or not adapter.arrives_with:
        put_in()
    else:
        own.undos.append(before_import(adapter.arrives_with, put_in))


def reports(known: Mapping[str, Adapter], hooks: Mapping[str, Hooks]) -> list[AdapterReport]:
    """Return the state of every adapter, by name.

    Args:
        known: every adapter, by name.
        hooks: what is in, by the adapter's name.
    """
    return [
        AdapterReport(
            name,
            adapter.watches,
            version := version_of(adapter),
            adapter.supports,
            version is not None and in_range(version, adapter.supports),
            tuple(hooks[name].installed) if name in hooks else (),
        )
        for name, adapter in known.items()
    ]


def _packages(watched: Mapping[str | None, str | None]) -> tuple[str, ...]:
    """Return the versions of Python, of becausal and of what adapters watch, as `name==version`."""
    found = ["python==" + ".".join(map(str, sys.version_info[:3]))]
    if (own := own_version()) is not None:
        found.append(f"becausal=={own}")
    return (*found, *sorted(f"{name}=={version}" for name, version in watched.items() if name and version))
