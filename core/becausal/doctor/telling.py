"""OpenTelemetry: whether spans leave this process, what they speak, and what is recorded at all."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from opentelemetry import trace

from becausal.doctor.check import Line, advice, trouble, well

if TYPE_CHECKING:
    from becausal.doctor.patient import Patient

__all__ = ["look_at_settings", "look_at_spans"]


def look_at_spans(patient: Patient) -> Iterator[Line]:
    """Say where spans go."""
    version = patient.versions.get("opentelemetry-sdk")
    if version is None:
        yield advice(
            "no SDK: spans go nowhere; runs are recorded all the same",
            "pip install 'becausal[otel]' and set a tracer provider, if a backend is to have the spans",
            sdk=None,
        )
    else:
        yield from _provider(version)
    settings = patient.settings
    speaks = ", ".join(dict.fromkeys(("genai", *settings.dialects)))
    yield well(f"spans speak {speaks}", dialects=speaks)
    if patient.propagates:
        yield well("its propagators carry the chain", propagates=True)
    else:
        yield advice(
            "its propagators do not carry the chain: a call into another process begins a new run there",
            "set OTEL_PROPAGATORS=tracecontext,baggage,becausal where an app calls another, or use becausal.inject",
            propagates=False,
        )


def look_at_settings(patient: Patient) -> Iterator[Line]:
    """Say what is recorded, and when it is judged."""
    settings = patient.settings
    for flaw in patient.unread:
        says, _, do = flaw.rpartition("; ")
        yield trouble(
            says or flaw,
            do if says else "write it as the README's settings say",
            variable=flaw.partition("=")[0],
        )
    judged = "each run is judged as it ends" if settings.watch else "runs are judged when they are read"
    yield well(
        f"level {patient.level}, capture {patient.capture}{_by_whom(patient)}; {judged}",
        level=patient.level,
        capture=patient.capture,
        watch=settings.watch,
    )


def _by_whom(patient: Patient) -> str:
    """Return who says so where it is not what `becausal.instrument()` without arguments would do here."""
    settings = patient.settings
    if (settings.level, settings.capture) == (patient.level, patient.capture):
        return ""
    whose = "the newest run was recorded" if patient.recorder is None else "this process records"
    return f", as {whose} (the environment here says level {settings.level}, capture {settings.capture})"


def _provider(version: str) -> Iterator[Line]:
    provider = trace.get_tracer_provider()
    name = type(provider).__name__
    if isinstance(provider, trace.ProxyTracerProvider):
        yield well(
            f"SDK {version}; no tracer provider is set in this process, the app's may be",
            sdk=version,
            provider=None,
        )
        return
    yield well(f"SDK {version}; spans go to {name}", sdk=version, provider=name)
    # The API knows no samplers; the SDK's describe themselves (opentelemetry-sdk 1.45, `trace/sampling.py`).
    describe = getattr(getattr(provider, "sampler", None), "get_description", str)
    described = describe()
    if described and not described.startswith(("AlwaysOn", "ParentBased{root:AlwaysOn")):
        yield advice(
            f"the provider samples ({described}): a backend has part of the spans, the store has every run",
            "look at runs in the store (becausal runs), or sample less",
            sampler=described,
        )
