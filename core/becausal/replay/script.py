"""The classes of an app that was run as a script: recorded as `__main__`'s, and a module's where it is run again."""

from __future__ import annotations

import inspect
import sys
import types
from collections.abc import Iterable, Iterator

from becausal import canonical, semconv
from becausal.payload import Bodies
from becausal.step import Step
from becausal.store.sweeping import parts_within

__all__ = ["script_classes"]

MAIN = "__main__"


def script_classes(steps: Iterable[Step], bodies: Bodies, roots: Iterable[object]) -> dict[str, type]:
    """Return the classes that are meant by names of `__main__`'s in a record, by these names.

    Those that the app's own modules have, and neither the script that runs now nor the record under their own names.

    Args:
        steps: of the recorded run.
        bodies: where its payloads are kept.
        roots: functions, classes and modules of the app's.
    """
    classes = dict(_of_modules(roots))
    if not classes:
        return {}
    meant: set[str] = set()
    by_themselves: set[str] = set()
    said, own_names = f"{MAIN}.".encode(), {name: _own_name(cls) for name, cls in classes.items()}
    modules = {f"{cls.__module__}.".encode() for cls in classes.values()}
    for body in _bodies(steps, bodies):
        # Most bodies name neither: looking for each class in each of them takes longer than reading them.
        if said in body:
            meant |= {name for name in classes if name.encode() in body}
        if any(module in body for module in modules):
            by_themselves |= {name for name, own in own_names.items() if own in body}
    return {name: classes[name] for name in meant - by_themselves}


def _own_name(cls: type) -> bytes:
    return f"{cls.__module__}.{cls.__qualname__}".encode()


def _of_modules(roots: Iterable[object]) -> Iterator[tuple[str, type]]:
    running = vars(sys.modules[MAIN])
    for module in dict.fromkeys(map(_module_of, roots)):
        for thing in list(vars(module).values()) if module is not None else ():
            if (
                isinstance(thing, type)
                and thing.__module__ == getattr(module, "__name__", MAIN) != MAIN
                and thing.__qualname__ not in running
            ):
                yield f"{MAIN}.{thing.__qualname__}", thing


def _module_of(root: object) -> types.ModuleType | None:
    if isinstance(root, types.ModuleType):
        return root
    thing = inspect.unwrap(root) if callable(root) else root
    named = getattr(thing, "__module__", None) or type(thing).__module__
    return sys.modules.get(named) if isinstance(named, str) else None


def _bodies(steps: Iterable[Step], bodies: Bodies) -> Iterator[bytes]:
    """Yield every body of a record once, its parts included."""
    waiting: list[bytes] = []
    for step in steps:
        kept = (value for name, value in step.attributes.items() if name.startswith(semconv.KEPT))
        digests = (payload.digest for payload in (step.received, step.produced) if payload is not None)
        waiting += [canonical.parse_digest(digest) for digest in (*digests, *kept) if isinstance(digest, str)]
    seen: set[bytes] = set()
    while waiting:
        digest = waiting.pop()
        if digest in seen:
            continue
        seen.add(digest)
        body = bodies.body(digest)
        if body is not None:
            yield body
            waiting += parts_within(body)
