"""What the doctor found, for a terminal and as JSON."""

from __future__ import annotations

from typing import TypedDict

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from becausal.adapter import AdapterReport
from becausal.callback import MISSES
from becausal.doctor import Diagnosis, Foreign
from becausal.views.clean import line, styled

__all__ = ["json", "text"]


class AdapterJson(TypedDict):
    """An adapter on this machine; `version` is None where its framework is not installed."""

    name: str
    watches: str | None
    version: str | None
    supports: str
    is_supported: bool
    hooked: list[str]
    waiting: list[str]
    gone: list[str]


class ForeignJson(TypedDict):
    """Somebody else's instrumentor."""

    name: str
    version: str
    advice: str
    is_at_work: bool


class StoreJson(TypedDict):
    """The store; all but `url` and `trouble` are None where it cannot be read."""

    url: str
    trouble: str | None
    path: str | None
    format: int | None
    bytes_on_disk: int | None
    chains: int | None
    steps: int | None
    bodies: int | None


class DiagnosisJson(TypedDict):
    """What `becausal doctor --json` prints."""

    adapters: list[AdapterJson]
    foreign: list[ForeignJson]
    opentelemetry_sdk: str | None
    extras: dict[str, bool]
    level: str
    capture: str
    dialects: list[str]
    watch: bool
    propagates: bool
    store: StoreJson
    gaps: dict[str, int]
    by_callback: bool
    missed_by_callback: list[str]


def text(found: Diagnosis) -> RenderableType:
    """Return a diagnosis for people."""
    return Group(
        styled("adapters", "bold"),
        _adapters(found),
        styled("callbacks", "bold"),
        *_callbacks(found.by_callback),
        styled("other instrumentors", "bold"),
        *([_foreign(other) for other in found.foreign]
          or [Text("  none that records the same calls")]),
        styled("OpenTelemetry", "bold"),
        _sdk(found.opentelemetry_sdk),
        *_speaking(found),
        styled("extras", "bold"),
        *_extras(found),
        styled("store", "bold"),
        *_store(found),
    )  # fmt: skip


def json(found: Diagnosis) -> DiagnosisJson:
    """Return a diagnosis for programs."""
    store = found.store
    return DiagnosisJson(
        adapters=[_adapter_json(report) for report in found.adapters],
        foreign=[
            ForeignJson(
                name=other.name, version=other.version, advice=other.advice, is_at_work=other.is_at_work
            )
            for other in found.foreign
        ],
        opentelemetry_sdk=found.opentelemetry_sdk,
        extras=dict(found.extras),
        level=found.settings.level,
        capture=found.settings.capture,
        dialects=list(found.settings.dialects),
        watch=found.settings.watch,
        propagates=found.propagates,
        store=StoreJson(
            url=found.store_url,
            trouble=found.store_trouble,
            path=str(store.path) if store is not None and store.path is not None else None,
            format=None if store is None else store.format,
            bytes_on_disk=None if store is None else store.bytes_on_disk,
            chains=None if store is None else store.chains,
            steps=None if store is None else store.steps,
            bodies=None if store is None else store.bodies,
        ),
        gaps=dict(found.gaps),
        by_callback=found.by_callback,
        missed_by_callback=list(MISSES) if found.by_callback else [],
    )


def _adapters(found: Diagnosis) -> RenderableType:
    if not found.adapters:
        return styled("  none: is becausal itself installed? pip install becausal", "bold red")
    table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
    for report in found.adapters:
        table.add_row(
            styled(f"  {report.name}"),
            styled(f"{report.watches or 'standard library'} {report.version or ''}".rstrip()),
            _support(report),
            Text("\n").join(_places(report)),
        )
    return table


def _support(report: AdapterReport) -> Text:
    if report.version is None:
        return Text("not installed", style="dim")
    if report.is_supported:
        return Text(f"inside {report.supports}" if report.supports else "supported", style="green")
    done = (
        "what still fits is recorded" if report.hooks else f"left alone, unless instrument({report.name!r})"
    )
    return styled(f"outside {report.supports}: {done}", "bold red")


def _places(report: AdapterReport) -> list[Text]:
    counts = {state: sum(hook.state == state for hook in report.hooks) for state in ("hooked", "waiting")}
    said = ", ".join(f"{count} places {state}" for state, count in counts.items() if count)
    gone = [styled(f"gone: {hook.place}", "bold red") for hook in report.hooks if hook.state == "gone"]
    return [*([Text(said)] if said else []), *gone]


def _callbacks(in_use: bool) -> list[RenderableType]:
    if not in_use:
        return [Text("  becausal.callback() is not in use")]
    says = "  becausal.callback() is in use. becausal.instrument() sees more; by callbacks nobody can tell:"
    return [styled(says, "yellow"), *(styled(f"  - {missed}") for missed in MISSES)]


def _foreign(other: Foreign) -> Text:
    if other.is_at_work:
        said = f"  {other.name} {other.version} is at work in this process beside becausal: {other.advice}"
        return styled(said, "bold yellow")
    return styled(f"  {other.name} {other.version}: {other.advice}", "yellow")


def _sdk(version: str | None) -> Text:
    if version is None:
        return Text(
            "  no SDK: spans go nowhere, runs are recorded all the same (pip install 'becausal[otel]')"
        )
    return Text(f"  SDK {version}")


def _speaking(found: Diagnosis) -> list[RenderableType]:
    settings = found.settings
    watched = "each run is judged as it ends" if settings.watch else "runs are judged when they are read"
    carried = "carry the chain" if found.propagates else "do not carry the chain (OTEL_PROPAGATORS)"
    return [
        styled(f"  spans speak {', '.join(dict.fromkeys(('genai', *settings.dialects)))}; {watched}"),
        styled(f"  level {settings.level}, capture {settings.capture}; its propagators {carried}"),
    ]


def _extras(found: Diagnosis) -> list[RenderableType]:
    return [
        styled(f"  {name}: installed")
        if there
        else styled(f"  {name}: pip install 'becausal[{name}]'", "dim")
        for name, there in found.extras.items()
    ]


def _store(found: Diagnosis) -> list[RenderableType]:
    if found.store is None:
        # Whole: what is to be done stands at the end of it.
        return [styled(f"  {found.store_url}"), Text(f"  {line(found.store_trouble or '')}", "yellow")]
    store = found.store
    lines: list[RenderableType] = [
        styled(f"  {store.path or store.url}, format {store.format}, {store.bytes_on_disk / 1e6:.1f} MB"),
        styled(f"  runs: {store.chains}, steps: {store.steps}, bodies: {store.bodies}"),
    ]
    lines += [styled(f"  not recorded: {count} ({reason})", "yellow") for reason, count in found.gaps.items()]
    return lines if found.gaps else [*lines, Text("  nothing was lost", style="green")]


def _adapter_json(report: AdapterReport) -> AdapterJson:
    places = {state: [hook.place for hook in report.hooks if hook.state == state] for state in _STATES}
    return AdapterJson(
        name=report.name,
        watches=report.watches,
        version=report.version,
        supports=report.supports,
        is_supported=report.is_supported,
        hooked=places["hooked"],
        waiting=places["waiting"],
        gone=places["gone"],
    )


_STATES = ("hooked", "waiting", "gone")
