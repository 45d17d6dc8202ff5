"""Hooks are put in where they are wanted, whenever that comes to be, and taken out without a trace."""

from __future__ import annotations

import abc
import asyncio
import contextlib
import functools
import gc
import inspect
import operator
import sys
import types
import weakref
from collections.abc import AsyncGenerator, Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import context as otel_context

from becausal import guard
from becausal.adapter import Hooks
from becausal.observation import Observation, Opening
from becausal.recorder import Recorder
from becausal.step import Step
from becausal.store import Store
from becausal_integrations.patch import Notice, family, notice, noticing, observe, observing, replace


class Boom(Exception):
    """What the app raises."""


@pytest.fixture
def recorder(recording_to: Recorder) -> Recorder:
    return recording_to


@pytest.fixture
def hooks() -> Iterator[Hooks]:
    made = Hooks()
    yield made
    made.undo()


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A framework: a module, in which this test puts what it wants to hook."""
    made = types.ModuleType("framework")
    monkeypatch.setitem(sys.modules, "framework", made)
    return made


def steps(recorder: Recorder, kept: Store) -> list[Step]:
    assert recorder.flush(5)
    found = [step for chain in kept.chains() for step in kept.load(chain.chain_id)]
    return sorted(found, key=lambda step: step.seq)


def told(recorder: Recorder, kept: Store) -> list[tuple[Any, Any]]:
    """Return what each step received, and what it produced."""
    payloads = [(step.received, step.produced) for step in steps(recorder, kept)]
    return [(given and given.value(), made and made.value()) for given, made in payloads]


SEEN = Observation(lambda *args, **kwargs: Opening("agent", "a", received=[*args[-1:], *kwargs.values()]))


class Framework:
    """One method of each sort; each doubles what it is given."""

    def method(self, given: int) -> int:
        return given * 2

    async def coroutine(self, given: int) -> int:
        await asyncio.sleep(0)
        return given * 2

    def generator(self, given: int) -> Generator[int]:
        yield given
        yield given

    async def async_generator(self, given: int) -> AsyncGenerator[int]:
        yield given
        yield given

    @staticmethod
    def static(given: int) -> int:
        return given * 2

    @classmethod
    def of_class(cls, given: int) -> int:
        assert cls is Framework
        return given * 2

    @staticmethod
    async def static_coroutine(given: int) -> int:
        return given * 2

    @classmethod
    def class_generator(cls, given: int) -> Generator[int]:
        assert cls is Framework
        yield given
        yield given

    @staticmethod
    def static_generator(given: int) -> Generator[int]:
        yield given
        yield given


METHODS = [name for name in vars(Framework) if not name.startswith("__")]


def called(method: Callable[..., Any], *args: Any) -> int:
    """Call a function of any sort; returns what it doubled."""

    async def main() -> Any:
        if inspect.isasyncgenfunction(method):
            return sum([item async for item in method(*args)])
        return await method(*args)

    if inspect.isasyncgenfunction(method) or inspect.iscoroutinefunction(method):
        return int(asyncio.run(main()))
    result = method(*args)
    return int(result if isinstance(result, int) else sum(result))


# Each call a step


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("over", ["instance", "class"])
def test_a_method_of_any_sort_can_be_observed(
    name: str, over: str, place: Any, hooks: Hooks, recorder: Recorder, kept: Store
) -> None:
    place.Framework = Framework
    before = vars(Framework)[name]
    sort = inspect.getattr_static(Framework, name).__class__
    observe(recorder, hooks, f"framework:Framework.{name}", SEEN)

    needs_self = over == "class" and not isinstance(before, staticmethod | classmethod)
    method = getattr(Framework() if over == "instance" else Framework, name)
    assert called(method, *([Framework()] if needs_self else []), 3) == 6

    (step,) = told(recorder, kept)
    assert step in [([3], 6), ([3], [3, 3])]
    assert isinstance(vars(Framework)[name], sort)
    for question in (inspect.iscoroutinefunction, inspect.isgeneratorfunction, inspect.isasyncgenfunction):
        assert question(method) == question(getattr(before, "__func__", before))
    assert inspect.signature(method).parameters.keys() >= {"given"}

    hooks.undo()
    assert vars(Framework)[name] is before


def test_a_function_can_be_observed(place: Any, hooks: Hooks, recorder: Recorder, kept: Store) -> None:
    def double(given: int) -> int:
        """Double it."""
        return given * 2

    place.double = double
    observe(recorder, hooks, "framework:double", SEEN)

    assert place.double(given=3) == 6
    assert told(recorder, kept) == [([3], 6)]
    assert (place.double.__name__, place.double.__doc__) == ("double", "Double it.")
    hooks.undo()
    assert place.double is double


def test_an_exception_of_the_frameworks_is_the_same_object(
    place: Any, hooks: Hooks, recorder: Recorder
) -> None:
    boom = Boom()

    def failing() -> None:
        raise boom

    place.failing = failing
    observe(recorder, hooks, "framework:failing", SEEN)
    with pytest.raises(Boom) as raised:
        place.failing()

    assert raised.value is boom


def test_hooks_over_hooks_come_out_in_any_number(
    place: Any, hooks: Hooks, recorder: Recorder, kept: Store
) -> None:
    def double(given: int) -> int:
        return given * 2

    place.double = double
    for _ in range(3):
        observe(recorder, hooks, "framework:double", SEEN)
    place.double(1)
    assert len(steps(recorder, kept)) == 3

    hooks.undo()
    assert place.double is double


def test_a_later_wrapper_is_left_alone_and_we_fall_silent_under_it(
    place: Any, hooks: Hooks, recorder: Recorder, kept: Store
) -> None:
    place.double = lambda given: given * 2
    observe(recorder, hooks, "framework:double", SEEN)
    ours = place.double
    place.double = later = functools.wraps(ours)(lambda given: ours(given) + 1)
    hooks.undo()
    recorder.active = False

    assert place.double is later
    assert place.double(3) == 7
    assert steps(recorder, kept) == []


# When and where


def test_a_module_that_is_imported_later_is_hooked_then(
    hooks: Hooks, recorder: Recorder, kept: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "comes_later.py").write_text("def double(given):\n    return given * 2\n")
    observe(recorder, hooks, "comes_later:double", SEEN)
    assert [hook.state for hook in hooks.installed] == ["waiting"]

    import comes_later  # type: ignore[import-not-found]

    assert comes_later.double(3) == 6
    assert [hook.state for hook in hooks.installed] == ["hooked"]
    assert told(recorder, kept) == [([3], 6)]
    hooks.undo()
    assert not hasattr(comes_later.double, "__wrapped__")
    monkeypatch.delitem(sys.modules, "comes_later")


@pytest.mark.usefixtures("recorder")
def test_a_place_that_fails_to_be_hooked_does_not_fail_its_import(
    hooks: Hooks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv("BECAUSAL_STRICT")
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "refuses.py").write_text("def double(given):\n    return given * 2\n")

    def refuse(_: object) -> None:
        raise TypeError("cannot be made")

    replace(hooks, "refuses:double", refuse)
    import refuses  # type: ignore[import-not-found]

    assert refuses.double(3) == 6
    assert [hook.state for hook in hooks.installed] == ["gone"]
    assert "cannot be made" in caplog.text
    monkeypatch.delitem(sys.modules, "refuses")
    guard.failures.clear()


@pytest.mark.parametrize("where", ["gone", "Gone.method", "Framework.gone", "Framework.method.deeper.still"])
def test_a_place_that_is_gone_is_logged_and_reported(
    where: str, place: Any, hooks: Hooks, recorder: Recorder, caplog: pytest.LogCaptureFixture
) -> None:
    place.Framework = Framework
    observe(recorder, hooks, f"framework:{where}", SEEN)

    assert [(hook.place, hook.state) for hook in hooks.installed] == [(f"framework:{where}", "gone")]
    assert f"has no framework:{where}" in caplog.text


def test_a_place_that_only_some_versions_have_is_not_logged(
    place: Any, hooks: Hooks, caplog: pytest.LogCaptureFixture
) -> None:
    replace(hooks, "framework:gone", lambda original: original, optional=True)

    assert [hook.state for hook in hooks.installed] == ["gone"]
    assert caplog.records == []


# Bookkeeping


def test_a_notice_sees_arguments_and_outcome_and_lends_a_context(
    place: Any, hooks: Hooks, recorder: Recorder
) -> None:
    seen: list[object] = []
    mark = otel_context.set_value("mark", 1)
    noticed = Notice(
        before=lambda *args: seen.append(args) or "token",  # type: ignore[func-returns-value]
        after=lambda token, result, error: seen.append((token, result, error)),
        scope=lambda *_: mark,
    )

    def work(given: int) -> int:
        assert otel_context.get_value("mark") == 1
        return given * 2

    async def work_async(given: int) -> int:
        await asyncio.sleep(0)
        return work(given)

    place.work, place.work_async = work, work_async
    for name in ("work", "work_async"):
        notice(recorder, hooks, f"framework:{name}", noticed)
        assert called(getattr(place, name), 3) == 6
        assert seen == [(3,), ("token", 6, None)]
        assert otel_context.get_value("mark") is None
        seen.clear()

    assert inspect.iscoroutinefunction(place.work_async)
    recorder.active = False
    with pytest.raises(AssertionError):
        place.work(3)  # without the context, and without a word
    assert seen == []


def test_a_notice_that_a_call_means_nothing_to_is_not_told_of_it(recorder: Recorder) -> None:
    seen: list[object] = []

    class Loop:
        cache: object = None

        def match(self, given: int) -> int:
            return given * 2

        async def match_async(self, given: int) -> int:
            return given * 2

    noticed = Notice(
        lambda loop, given: seen.append(given),
        lambda *_: seen.append("after"),
        when=operator.attrgetter("cache"),
    )
    for original in (Loop.match, Loop.match_async):
        hook, loop = noticing(recorder, original, noticed), Loop()
        assert called(hook, loop, 3) == 6
        assert seen == []
        loop.cache = False  # there is one, whatever it says of itself
        assert called(hook, loop, 3) == 6
        assert seen == [3, "after"]
        seen.clear()


def test_where_nothing_came_of_what_is_done_before_nothing_is_done_after(recorder: Recorder) -> None:
    seen: list[object] = []
    noticed = Notice(lambda given: given or None, lambda *told: seen.append(told), needs_token=True)

    def work(given: int) -> int:
        return given * 2

    async def work_async(given: int) -> int:
        return given * 2

    for hook in (noticing(recorder, work, noticed), noticing(recorder, work_async, noticed)):
        assert called(hook, 0) == 0
        assert seen == []
        assert called(hook, 3) == 6
        assert seen == [(3, 6, None)]
        seen.clear()


def test_what_comes_after_is_told_the_arguments_where_nothing_came_before(recorder: Recorder) -> None:
    seen: list[object] = []
    hook = noticing(recorder, lambda given: given * 2, Notice(after=lambda *told: seen.append(told)))

    assert hook(3) == 6
    assert seen == [((3,), 6, None)]


def test_a_call_that_is_no_step_runs_where_its_observation_says(
    place: Any, hooks: Hooks, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark = otel_context.set_value("mark", 1)
    answers: list[Any] = [mark]
    seen = Observation(lambda given: None, elsewhere=lambda given: answers[0])

    def work(given: int) -> int:
        return given if otel_context.get_value("mark") else 0

    async def work_async(given: int) -> int:
        return work(given)

    place.work, place.work_async = work, work_async
    for name in ("work", "work_async"):
        observe(recorder, hooks, f"framework:{name}", seen)
        hook, recorder.active, answers[0] = getattr(place, name), True, mark
        assert called(hook, 3) == 3
        assert otel_context.get_value("mark") is None
        recorder.active = False
        assert called(hook, 3) == 0
        recorder.active, answers[0] = True, None
        assert called(hook, 3) == 0
        monkeypatch.setenv("BECAUSAL_STRICT", "0")
        answers[0] = 7  # no context at all
        assert called(hook, 3) == 0
        monkeypatch.setenv("BECAUSAL_STRICT", "1")
    guard.failures.clear()


def test_an_observation_is_told_its_step_before_the_call_runs(recorder: Recorder) -> None:
    order: list[object] = []
    opening = Opening("agent", "a", told=lambda step: order.append(step.name))
    hook = observing(recorder, lambda: order.append("runs"), Observation(lambda: opening))

    hook()
    assert order == ["a", "runs"]


@pytest.mark.parametrize("part", ["before", "after", "scope", "when"])
def test_a_notice_that_fails_never_reaches_the_app(
    part: str, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("BECAUSAL_STRICT")
    boom = Boom()

    def broken(*_: object) -> Any:
        raise ValueError("ours")

    def work(given: int) -> int:
        if given < 0:
            raise boom
        return given * 2

    async def work_async(given: int) -> int:
        return work(given)

    for original in (work, work_async):
        noticed = noticing(recorder, original, Notice(**{part: broken}))  # type: ignore[arg-type]
        assert called(noticed, 3) == 6
        with pytest.raises(Boom) as raised:
            called(noticed, -1)
        assert raised.value is boom
    guard.failures.clear()


def test_an_exception_that_passes_a_notice_is_gone_as_soon_as_the_app_lets_go_of_it(
    recorder: Recorder,
) -> None:
    class Held:
        pass

    def fails(held: Held) -> None:
        raise Boom

    async def fails_async(held: Held) -> None:
        raise Boom

    def noticed(original: Callable[..., Any]) -> weakref.ref[Held]:
        held = Held()
        with contextlib.suppress(Boom):
            call = noticing(recorder, original, Notice(after=lambda *_: None))(held)
            if inspect.iscoroutine(call):
                call.send(None)
        return weakref.ref(held)

    gc.disable()
    try:
        assert [noticed(original)() for original in (fails, fails_async)] == [None, None]
    finally:
        gc.enable()


@pytest.mark.parametrize("name", METHODS)
def test_a_notice_leaves_every_sort_of_function_what_it_is(name: str, recorder: Recorder) -> None:
    original = inspect.unwrap(getattr(Framework, name))
    noticed = noticing(recorder, original, Notice())

    for question in (inspect.iscoroutinefunction, inspect.isgeneratorfunction, inspect.isasyncgenfunction):
        assert question(noticed) == question(original)


# Families


class Base(abc.ABC):
    """What a framework lets apps derive from."""

    @abc.abstractmethod
    def run(self, given: int) -> int: ...

    def other(self, given: int) -> int:
        return given


class Early(Base):
    def run(self, given: int) -> int:
        return given * 2


class Inheriting(Early):
    pass


def of_family(recorder: Recorder, hooks: Hooks, place: Any) -> None:
    place.Base = Base
    family(
        hooks,
        "framework:Base",
        {
            "run": lambda run: observing(recorder, run, SEEN),
            "stream": lambda run: observing(recorder, run, SEEN),
        },
    )


def test_a_family_is_hooked_in_every_class_that_defines_a_method(
    place: Any, hooks: Hooks, recorder: Recorder, kept: Store
) -> None:
    before = vars(Early)["run"], vars(Base)["run"]
    of_family(recorder, hooks, place)

    assert (Early().run(1), Inheriting().run(2), Early().other(3)) == (2, 4, 3)
    assert told(recorder, kept) == [([1], 2), ([2], 4)]
    assert vars(Base)["run"] is before[1]
    assert "run" not in vars(Inheriting)

    hooks.undo()
    assert (vars(Early)["run"], vars(Base)["run"]) == before
    assert vars(Early)["run"] is before[0]
    assert "__init_subclass__" not in vars(Base)


def test_a_family_grows_with_classes_that_are_defined_later(
    place: Any, hooks: Hooks, recorder: Recorder, kept: Store
) -> None:
    of_family(recorder, hooks, place)

    class Late(Early, abc.ABC):
        def run(self, given: int) -> int:
            return super().run(given) + 1

        @staticmethod
        def stream(given: int) -> Generator[int]:
            yield given

    hooked = vars(Late)["run"]
    assert (Late().run(1), list(Late.stream(5))) == (3, [5])
    assert told(recorder, kept) == [([1], 3), ([1], 2), ([5], [5])]

    hooks.undo()
    assert vars(Late)["run"] is not hooked
    assert not hasattr(vars(Late)["run"], "__wrapped__")
    assert isinstance(vars(Late)["stream"], staticmethod)

    class Later(Early):
        def run(self, given: int) -> int:
            return given

    assert not hasattr(vars(Later)["run"], "__wrapped__")


def test_a_classes_own_init_subclass_is_called_as_before(
    hooks: Hooks, recorder: Recorder, place: Any
) -> None:
    class Own:
        made: list[tuple[str, object]] = []  # noqa: RUF012

        def __init_subclass__(cls, flag: object = None, **more: object) -> None:
            super().__init_subclass__(**more)
            cls.made.append((cls.__name__, flag))

        def run(self) -> None:
            pass

    place.Base = Own
    before = vars(Own)["__init_subclass__"]
    family(hooks, "framework:Base", {"run": lambda run: observing(recorder, run, SEEN)})

    class Child(Own, flag=7):
        pass

    assert Own.made == [("Child", 7)]
    hooks.undo()
    assert vars(Own)["__init_subclass__"] is before


def test_a_family_that_was_let_go_stays_silent_under_a_later_wrapper(
    place: Any, hooks: Hooks, recorder: Recorder
) -> None:
    class Own:
        pass

    place.Base = Own
    family(hooks, "framework:Base", {"run": lambda run: observing(recorder, run, SEEN)})
    ours: Any = Own.__init_subclass__
    Own.__init_subclass__ = classmethod(lambda cls: ours.__func__(cls))  # type: ignore[assignment]
    hooks.undo()

    class Child(Own):
        def run(self) -> None:
            pass

    assert not hasattr(vars(Child)["run"], "__wrapped__")


def test_a_method_that_is_used_under_two_names_is_hooked_once_a_call(
    place: Any, hooks: Hooks, recorder: Recorder, kept: Store
) -> None:
    of_family(recorder, hooks, place)

    class Borrowing(Base):
        run = Early.run  # our hook, taken over

    assert Borrowing().run(3) == 6  # type: ignore[misc]
    assert len(steps(recorder, kept)) == 1
    hooks.undo()
    assert not hasattr(vars(Borrowing)["run"], "__wrapped__")


def test_a_later_wrapper_in_a_family_is_left_alone(place: Any, hooks: Hooks, recorder: Recorder) -> None:
    of_family(recorder, hooks, place)

    class Wrapped(Early):
        def run(self, given: int) -> int:
            return given * 3

    ours = vars(Wrapped)["run"]
    later = functools.wraps(ours)(lambda self, given: ours(self, given) + 1)
    Wrapped.run = later  # type: ignore[method-assign]
    hooks.undo()

    assert vars(Wrapped)["run"] is later


def test_classes_that_an_app_makes_while_it_runs_are_not_kept_alive(
    place: Any, hooks: Hooks, recorder: Recorder
) -> None:
    of_family(recorder, hooks, place)
    many = len(hooks.undos)

    def made() -> weakref.ref[type]:
        class Passing(Early):
            def run(self, given: int) -> int:
                return super().run(given)

        return weakref.ref(Passing)

    passing = [made() for _ in range(5)]
    gc.collect()

    assert [ref() for ref in passing] == [None] * 5
    assert len(hooks.undos) == many
