"""Hooks: put in when a framework's module is imported, taken out again without a trace.

A place is written `module:Class.method` or `module:function`. It is hooked at once if its module is loaded, else when
somebody loads it. Hooks are plain functions and generators' stand-ins, never `wrapt` descriptors on what a framework
takes through `weakref.WeakMethod` (LangGraph 1.2.22, `pregel/main.py`: `put_writes` and `submit`; a `wrapt` wrapper
raises TypeError there).

Taking a hook out restores the very object that was there. If somebody has wrapped our hook since, theirs is left alone,
and ours falls silent under it: the recorder is no longer active and every hook calls through.
"""

from __future__ import annotations

import functools
import inspect
import logging
import sys
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import wrapt
from opentelemetry.context import Context

from becausal.adapter import Hook, Hooks
from becausal.context import Scope
from becausal.guard import Doing, Scoping, around, around_async, guarded
from becausal.recorder import Observation, Recorder
from becausal.standin import FunctionStandIn

__all__ = ["Notice", "family", "notice", "observe", "replace", "when_imported"]

log: logging.Logger = logging.getLogger("becausal")

Make = Callable[[Any], Any]
"""Takes the function that stands in a place, returns the hook that is to stand there."""


class Notice(NamedTuple):
    """Bookkeeping around a call that is no step itself.

    `before` takes what the hooked function takes; what it returns goes to `after`, with the result or the exception.
    Without a `before`, `after` gets the tuple of the arguments. `scope` names a context that the function is to run in;
    `within` does so too, from what `before` returned. `when` is asked of the first argument (a method's `self`) whether
    the call means anything to us: where it returns None, nothing else is called. So it is with `needs_token`, where
    `before` returns None. All are guarded: a failure of theirs is ours alone.
    """

    before: Callable[..., Any] | None = None
    after: Callable[[Any, Any, BaseException | None], None] | None = None
    scope: Callable[..., Context | None] | None = None
    within: Callable[[Any], Context | None] | None = None
    when: Callable[[Any], object] | None = None
    needs_token: bool = False


def observe(
    recorder: Recorder, hooks: Hooks, place: str, seen: Observation, *, optional: bool = False
) -> None:
    """Hook a place so that each call of it is a step."""
    replace(hooks, place, lambda original: observing(recorder, original, seen), optional=optional)


def notice(recorder: Recorder, hooks: Hooks, place: str, noticed: Notice, *, optional: bool = False) -> None:
    """Hook a place for bookkeeping."""
    replace(hooks, place, lambda original: noticing(recorder, original, noticed), optional=optional)


def replace(hooks: Hooks, place: str, make: Make, *, optional: bool = False) -> None:
    """Hook a place with whatever `make` returns for what stands there.

    A place that is gone is noted and logged; one that only some supported versions have is `optional`.
    """
    hook = hooks.add(place)
    module_name, _, path = place.partition(":")

    def put_in() -> None:
        owner, name = _owner(sys.modules[module_name], path)
        if owner is None or name not in getattr(owner, "__dict__", {}):
            hook.state = "gone"
            if not optional:
                log.warning("becausal: this version has no %s; what it shows is not recorded", place)
            return
        hooks.undos.append(_put(owner, name, make))
        hook.state = "hooked"

    when_imported(hooks, module_name, lambda: _attempt(hook, put_in))


def family(hooks: Hooks, place: str, made: dict[str, Make]) -> None:
    """Hook methods of a base class and of every subclass that defines them, those defined later included.

    Abstract methods are passed over: nobody calls them.
    """
    hook = hooks.add(f"{place}.{{{','.join(made)}}}")
    module_name, _, path = place.partition(":")

    def put_in() -> None:
        owner, name = _owner(sys.modules[module_name], path)
        base = inspect.getattr_static(owner, name, None)
        if not inspect.isclass(base):
            hook.state = "gone"
            log.warning("becausal: this version has no %s; what it shows is not recorded", place)
            return
        hooks.undos.append(lambda: _unhook_classes(base, made))
        for cls in _with_subclasses(base):
            _hook_class(cls, made)
        hooks.undos.append(_watch_subclasses(base, made))
        hook.state = "hooked"

    when_imported(hooks, module_name, lambda: _attempt(hook, put_in))


def when_imported(hooks: Hooks, module_name: str, action: Callable[[], object]) -> None:
    """Do something once a module is loaded: now, or when somebody imports it."""
    if module_name in sys.modules:
        action()
        return
    awaited = [True]
    hooks.undos.append(awaited.clear)  # taken out before the module ever came

    @guarded
    def arrived(_: object) -> None:
        if awaited:
            action()

    wrapt.register_post_import_hook(arrived, module_name)


def observing(recorder: Recorder, original: Callable[..., Any], seen: Observation) -> Callable[..., Any]:
    """Return a function that records each call of `original` as a step, and is of the same sort."""
    if inspect.isasyncgenfunction(original) or inspect.isgeneratorfunction(original):
        seam = recorder.astream if inspect.isasyncgenfunction(original) else recorder.stream
        return _generating(original, functools.partial(seam, seen, original))
    if inspect.iscoroutinefunction(original):

        @functools.wraps(original)
        async def observed_async(*args: Any, **kwargs: Any) -> Any:
            return await recorder.acall(seen, original, *args, **kwargs)

        return observed_async

    @functools.wraps(original)
    def observed(*args: Any, **kwargs: Any) -> Any:
        return recorder.call(seen, original, *args, **kwargs)

    return observed


def noticing(recorder: Recorder, original: Callable[..., Any], noticed: Notice) -> Callable[..., Any]:
    """Return a function that does bookkeeping around `original`, and is of the same sort."""
    put_around = around_async if inspect.iscoroutinefunction(original) else around
    doing = Doing(noticed.before, noticed.after, _scoping(noticed), noticed.when, noticed.needs_token)
    hook = put_around(recorder, original, doing)
    if inspect.isgeneratorfunction(original) or inspect.isasyncgenfunction(original):
        return _generating(original, hook)
    return functools.wraps(original)(hook)


# Inside


def _scoping(noticed: Notice) -> Scoping | None:
    """Return what names the scope to run in, of a token and of the arguments; None where nothing does.

    Most notices have no context: their calls are not to pay for a scope that is none.
    """
    within, scope = noticed.within, noticed.scope
    if within is not None:

        @functools.wraps(within)  # failures are counted under its name
        def of_token(token: Any, _: tuple[Any, ...], __: dict[str, Any]) -> Scope | None:
            context = within(token)
            return None if context is None else Scope(context)

        return of_token
    if scope is not None:

        @functools.wraps(scope)
        def of_arguments(_: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Scope | None:
            context = scope(*args, **kwargs)
            return None if context is None else Scope(context)

        return of_arguments
    return None


def _generating(original: Callable[..., Any], seam: Callable[..., Any]) -> Callable[..., Any]:
    """Return a stand-in for a generator function that `inspect` still takes for one."""

    def through(wrapped: Any, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return seam(*args, **kwargs) if instance is None else seam(instance, *args, **kwargs)

    return FunctionStandIn(original, through)


def _owner(module: Any, path: str) -> tuple[Any, str]:
    """Return what holds the last name of a path, and that name; the owner is None where the path breaks off."""
    *owners, name = path.split(".")
    owner: Any = module
    for step in owners:
        owner = inspect.getattr_static(
            owner, step, None
        )  # a module's own `__getattr__` may warn of what is old
    return owner, name


@guarded
def _attempt(hook: Hook, put_in: Callable[[], None]) -> None:
    """Put a hook in, or note that this version refuses it."""
    try:
        put_in()
    except Exception:
        hook.state = "gone"
        raise


def _put(owner: Any, name: str, make: Make) -> Callable[[], None]:
    """Put a hook in; returns what takes it out."""
    original = vars(owner)[name]
    hook = _hook_for(original, make)
    setattr(owner, name, hook)

    def take_out() -> None:
        if vars(owner).get(name) is hook:
            setattr(owner, name, original)

    return take_out


def _with_subclasses(base: type) -> Iterator[type]:
    seen: dict[type, None] = {}
    waiting = [base]
    while waiting:
        cls = waiting.pop()
        if cls not in seen:
            seen[cls] = None
            waiting.extend(type.__subclasses__(cls))
    yield from seen


# What a class's hook stands for is kept on the hook itself: a list of ours would keep alive every class that an app
# makes while it runs.


def _hook_class(cls: type, made: dict[str, Make]) -> None:
    for name, make in made.items():
        method = vars(cls).get(name)
        is_method = callable(method) or isinstance(method, staticmethod | classmethod)
        if not is_method or getattr(method, "__isabstractmethod__", False) or _mark(method, made) is not None:
            continue
        hook = _hook_for(method, make)
        hook._self_becausal = (made, method, hook)
        setattr(cls, name, hook)


def _unhook_classes(base: type, made: dict[str, Make]) -> None:
    for cls in _with_subclasses(base):
        for name in made:
            hook = vars(cls).get(name)
            mark = _mark(hook, made)
            # `functools.wraps` copies the mark on to a later wrapper, which is left alone.
            if mark is not None and mark[2] is hook:
                setattr(cls, name, mark[1])


def _mark(method: Any, made: dict[str, Make]) -> Any:
    mark = getattr(method, "_self_becausal", None)
    return mark if mark is not None and mark[0] is made else None


def _hook_for(original: Any, make: Make) -> Any:
    if isinstance(original, staticmethod | classmethod):
        return type(original)(make(original.__func__))
    return make(original)


def _watch_subclasses(base: type, made: dict[str, Make]) -> Callable[[], None]:
    """Hook each subclass as it is defined; returns what stops that."""
    original = vars(base).get("__init_subclass__")

    def __init_subclass__(cls: Any, /, **kwargs: Any) -> None:
        if original is not None:
            original.__get__(None, cls)(**kwargs)
        else:
            super(base, cls).__init_subclass__(**kwargs)  # type: ignore[arg-type]
        hook_late(cls)

    @guarded
    def hook_late(cls: type) -> None:
        if watching:
            _hook_class(cls, made)

    watching = [True]
    ours: Any = classmethod(__init_subclass__)
    base.__init_subclass__ = ours  # type: ignore[method-assign]

    def stop() -> None:
        watching.clear()
        if vars(base).get("__init_subclass__") is ours:
            if original is not None:
                base.__init_subclass__ = original  # type: ignore[method-assign]
            else:
                del base.__init_subclass__

    return stop
