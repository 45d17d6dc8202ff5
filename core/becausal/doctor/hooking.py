"""Adapters: which frameworks are installed, in which version, and what of them is hooked.

Hooks every installed framework once, into a store that is thrown away, and takes the hooks out again: only so can it be
said which places a version no longer has.
"""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from becausal.adapter import AdapterReport, adapters
from becausal.callback import MISSES
from becausal.doctor.check import Line, advice, trouble, well
from becausal.errors import BecausalError, BecausalWarning
from becausal.instrument import active_recorder, hooks_report, instrument, uninstrument

if TYPE_CHECKING:
    from becausal.doctor.patient import Patient

__all__ = ["hooked", "look_at_adapters", "look_at_callbacks"]


def hooked() -> list[AdapterReport]:
    """Return the state of every adapter; of a running app, its own hooks'."""
    if active_recorder() is not None:
        return hooks_report()  # the app's own hooks are the truth, and not ours to touch
    with warnings.catch_warnings():
        # What they warn of is what the report tells.
        warnings.simplefilter("ignore")
        try:
            instrument(store="sqlite:///:memory:")
            for adapter in adapters().values():
                _import_all(adapter.arrives_with)
            for report in hooks_report():
                _import_all(hook.place.partition(":")[0] for hook in report.hooks)
            return hooks_report()
        except (BecausalError, BecausalWarning):
            return hooks_report()
        finally:
            uninstrument()


def look_at_adapters(patient: Patient) -> Iterator[Line]:
    """Say of each adapter whether its framework is here, in a version that it knows, and what is hooked."""
    if not patient.adapters:
        yield trouble("no adapter is found: becausal is not installed", "pip install becausal")
    for report in patient.adapters:
        yield from _adapter(report)


def look_at_callbacks(patient: Patient) -> Iterator[Line]:
    """Say whether runs are told of by callbacks, and what those cannot see."""
    if not patient.by_callback:
        yield well("becausal.callback() is not in use", is_in_use=False)
        return
    missed = "; ".join(MISSES)
    yield advice(
        f"becausal.callback() is in use; by callbacks nobody can tell: {missed}",
        "call becausal.instrument(), which sees all of it, where the app may be patched",
        is_in_use=True,
    )


def _adapter(report: AdapterReport) -> Iterator[Line]:
    name, watched = report.name, report.watches or "standard library"
    if report.version is None:
        yield well(f"{name}: {watched} is not installed", adapter=name, version=None)
        return
    counts = {state: sum(hook.state == state for hook in report.hooks) for state in ("hooked", "waiting")}
    told = (
        f"{count} {'place' if count == 1 else 'places'} {state}" for state, count in counts.items() if count
    )
    places = ", ".join(told) or "its hooks wait for the framework to be imported"
    says = f"{name}: {watched} {report.version}".rstrip()
    if report.is_supported:
        inside = f" inside {report.supports}" if report.supports else ""
        yield well(f"{says}{inside}; {places}", adapter=name, version=report.version, **counts)
    else:
        left = "what still fits is recorded" if report.hooks else "it is left alone"
        yield trouble(
            f"{says} is outside {report.supports}: {left}",
            f"install a version inside the range, or try becausal.instrument({name!r}), which hooks what still fits",
            adapter=name,
            version=report.version,
        )
    for hook in report.hooks:
        if hook.state == "gone":
            yield trouble(
                f"{name}: gone: {hook.place}: what it shows is not recorded",
                f"install a version of {watched} inside {report.supports or 'the range'}, or a newer becausal",
                adapter=name,
                place=hook.place,
            )


def _import_all(modules: Iterable[str]) -> None:
    for module in modules:
        try:
            importlib.import_module(module)
        except Exception:
            continue  # an optional part of the framework that is not installed: its places stay `waiting`
