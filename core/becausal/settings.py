"""What becausal was told to do: arguments, else the environment, else defaults.

`OTEL_*` variables keep the meaning that OpenTelemetry gives them.
"""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from becausal.bounds import MAX_PAYLOAD_BYTES, MAX_RUN_BYTES, Retention, byte_count
from becausal.errors import BecausalWarning, SettingsError

__all__ = ["DEFAULT_STORE", "Capture", "Level", "Settings", "content_on_spans", "is_strict", "shown_url"]

Level = Literal["full", "boundaries"]
"""`boundaries` records handoffs and the agents at their ends; `full` the models, tools and memory inside too."""

Capture = Literal["full", "digest"]
"""`full` keeps the bodies in the store; `digest` only their checksums and sizes."""

DIALECTS = ("genai", "openinference", "langfuse", "langsmith", "mlflow")
"""What spans may speak. `genai` is always spoken; see `becausal.dialects` for the others."""

NO_BOUND = ("none", "off", "no")
"""How one says that there is to be no bound."""

ON = ("1", "true", "yes", "on")
OFF = ("0", "false", "no", "off")
"""How one says that something is to be so, or not."""

DEFAULT_STORE = "sqlite:///.becausal/becausal.db"


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of one `becausal.instrument()`."""

    store: str = field(default=DEFAULT_STORE, repr=False)  # its URL may hold a password
    store_was_named: bool = False  # by an argument: then a store that cannot be used is an error
    level: Level = "full"
    capture: Capture = "full"
    dialects: tuple[str, ...] = ("openinference",)
    watch: bool = False
    retention: Retention | None = None
    max_payload_bytes: int | None = MAX_PAYLOAD_BYTES
    max_run_bytes: int | None = MAX_RUN_BYTES

    @classmethod
    def read(
        cls,
        *,
        store: str | os.PathLike[str] | None = None,
        level: str | None = None,
        capture: str | None = None,
        dialects: Iterable[str] | None = None,
        watch: bool | None = None,
        retention: str | Retention | None = None,
        max_payload_bytes: str | int | None = None,
        max_run_bytes: str | int | None = None,
        environ: Mapping[str, str] = os.environ,
        flawed: Callable[[str], object] | None = None,
    ) -> Settings:
        """Return the settings that these arguments and the environment amount to.

        A variable whose value means nothing is warned of, and the default taken: it must not stop the app.

        Args:
            flawed: is told of each such variable instead of the warning.

        Raises:
            SettingsError: an argument whose value means nothing.
        """
        tell = _warn if flawed is None else flawed
        _switch(
            "redact", environ, tell, unless=True
        )  # `becausal.redaction` reads it; what it cannot is said here
        named = store is not None
        chosen = os.fspath(store) if store is not None else environ.get("BECAUSAL_STORE") or DEFAULT_STORE
        return cls(
            store=store_url(chosen),
            store_was_named=named,
            level=_chosen("level", level, environ, tell, get_args(Level), unless="full"),
            # Who wrote something else meant less than everything.
            capture=_chosen("capture", capture, environ, tell, get_args(Capture), unless="digest"),
            dialects=_dialects(dialects, environ, tell),
            watch=_switch("watch", environ, tell, unless=False) if watch is None else watch,
            retention=_bound("retention", retention, environ, tell, _retention, None),
            max_payload_bytes=_bound(
                "max_payload_bytes", max_payload_bytes, environ, tell, _cap, MAX_PAYLOAD_BYTES
            ),
            max_run_bytes=_bound("max_run_bytes", max_run_bytes, environ, tell, _cap, MAX_RUN_BYTES),
        )


def store_named(environ: Mapping[str, str] = os.environ) -> str:
    """Return the URL of the store that the environment names, else of the default one."""
    return store_url(environ.get("BECAUSAL_STORE") or DEFAULT_STORE)


def sink_named(environ: Mapping[str, str] = os.environ) -> str:
    """Return the URL of the ClickHouse that runs are exported to, as the environment names it; else empty."""
    return environ.get("BECAUSAL_SINK", "")


def store_url(store: str) -> str:
    """Return a store's URL; a plain path means an SQLite file."""
    return store if "://" in store else f"sqlite:///{Path(store).expanduser()}"


HIDDEN = "***"
"""What stands where a password was."""

HIDDEN_OF_STORE = r"(?i)(?<=[?&])((?:ssl)?password=)[^&#]*"
HIDDEN_OF_SINK = r"(?<=[?&])((?!secure=|source=)[^&#=]*=)[^&#]*"
"""What is hidden of a URL's parameters. Those of a sink are ClickHouse's client's own: tokens, proxies with a login."""


def shown_url(store: str) -> str:
    """Return a store's URL as it may be shown: without the password, if it holds one."""
    scheme, _, rest = store.partition("://")
    if not rest or scheme == "sqlite":
        return store
    place, _, _ = rest.partition("?")
    # Where the password has a `?` in it that it should not have, too much is hidden, never too little.
    login, at, _ = (place if "@" in place else rest).rpartition("@")
    user, colon, _ = login.partition(":")
    hidden = f"{user}{colon}{HIDDEN if colon else ''}{at}{rest[len(login) + len(at) :]}"
    said = HIDDEN_OF_SINK if scheme in ("clickhouse", "chdb") else HIDDEN_OF_STORE
    return f"{scheme}://" + re.sub(said, rf"\1{HIDDEN}", hidden)


def is_strict(environ: Mapping[str, str] = os.environ) -> bool:
    """Return whether our own failures are let out instead of swallowed (`BECAUSAL_STRICT=1`, for tests)."""
    return _is_on(environ.get("BECAUSAL_STRICT", ""))


def content_on_spans(environ: Mapping[str, str] = os.environ) -> bool:
    """Return whether OpenTelemetry's own switch allows content in span attributes.

    Source: semantic-conventions-genai, `OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT`.
    """
    return environ.get("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "").upper() in (
        "SPAN_ONLY",
        "SPAN_AND_EVENT",
    )


def _is_on(value: str) -> bool:
    return value.lower() not in ("", *OFF)


def _switch(what: str, environ: Mapping[str, str], tell: Callable[[str], object], *, unless: bool) -> bool:
    """Return what a variable says that is on or off; `unless` for one that is not set or means nothing."""
    variable = f"BECAUSAL_{what.upper()}"
    value = environ.get(variable, "").strip()
    if value.lower() in ON or value.lower() in OFF:
        return value.lower() in ON
    if value:
        tell(
            f"{variable}={value!r} is neither on nor off, so {'on' if unless else 'off'} is taken; write 1 or 0"
        )
    return unless


def _warn(flaw: str) -> None:
    # Past `_warn`, what reads one setting, `Settings.read` and `instrument`: it points into the app.
    warnings.warn(flaw, BecausalWarning, stacklevel=5)


def _bound(
    what: str,
    argument: Any,
    environ: Mapping[str, str],
    tell: Callable[[str], object],
    read: Callable[[Any], Any],
    default: Any,
) -> Any:
    """Return what an argument, else a variable, says of a bound; the default for one that means nothing."""
    if argument is not None:
        try:
            return read(argument)
        except SettingsError as flaw:
            raise SettingsError(f"{what}={argument!r}: {flaw}") from None
    variable = f"BECAUSAL_{what.upper()}"
    value = environ.get(variable)
    if not value:
        return default
    try:
        return read(value)
    except SettingsError as flaw:
        taken = "there is no bound" if default is None else f"{default:,} bytes are the bound"
        tell(f"{variable}={value!r}, so {taken}: {flaw}")
        return default


def _retention(said: str | Retention) -> Retention | None:
    if isinstance(said, Retention):
        return said
    return None if said.lower() in NO_BOUND else Retention.read(said)


def _cap(said: str | int) -> int | None:
    if isinstance(said, str) and said.lower() in NO_BOUND:
        return None
    size = byte_count(said)
    if size <= 0:
        raise SettingsError(
            "nothing would be kept; write a size such as '8MiB', 'none' for no bound, or use capture='digest' for "
            "no content"
        )
    return size


def _dialects(
    argument: Iterable[str] | None, environ: Mapping[str, str], tell: Callable[[str], object]
) -> tuple[str, ...]:
    """Return the dialects that are asked for, each once; those of a variable that do not exist are left out."""
    there = f"use some of: {', '.join(DIALECTS)}"
    if argument is not None:
        asked = (argument,) if isinstance(argument, str) else tuple(argument)
        if unknown := [name for name in asked if name not in DIALECTS]:
            raise SettingsError(f"dialects={unknown!r} do not exist; {there}")
        return tuple(dict.fromkeys(asked))
    value = environ.get("BECAUSAL_DIALECTS")
    if not value:
        return ("openinference",)
    named = [name.strip().lower() for name in value.split(",") if name.strip()]
    if unknown := [name for name in named if name not in DIALECTS]:
        tell(f"BECAUSAL_DIALECTS={value!r}: {', '.join(unknown)} left out; {there}")
    return tuple(dict.fromkeys(name for name in named if name in DIALECTS))


def _chosen(
    what: str,
    argument: str | None,
    environ: Mapping[str, str],
    tell: Callable[[str], object],
    allowed: tuple[Any, ...],
    *,
    unless: str,
) -> Any:
    """Return an argument, else a variable, else the first allowed; `unless` for a variable that means nothing."""
    there = f"use one of: {', '.join(allowed)}"
    if argument is not None:
        if argument not in allowed:
            raise SettingsError(f"{what}={argument!r} does not exist; {there}")
        return argument
    variable = f"BECAUSAL_{what.upper()}"
    value = environ.get(variable) or allowed[0]
    if value.lower() in allowed:
        return value.lower()
    tell(f"{variable}={value!r} does not exist, so {unless!r} is taken; {there}")
    return unless
