"""From canonical bytes back to the values that an app had: objects of their classes, enums, arrays, dicts in order.

A record is data, and may come from a stranger's file. So nothing here imports a module, calls a constructor or runs any
other code of a class, and only classes that were given beforehand are made: those of the frameworks that an adapter
names, and those that the app's own code can name (`Classes.reach`). Of them only what is made to hold data: pydantic
models, dataclasses, enums, named tuples, exceptions. A class with a finalizer is refused.
"""

from __future__ import annotations

import collections
import dataclasses
import enum
import inspect
import pathlib
import re
import sys
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from becausal.canonical.decoded import Cycle, Missing, Opaque, Reading
from becausal.canonical.leaves import FLAGS, HEAP, name_of
from becausal.canonical.wire import Code
from becausal.replay.divergence import DivergenceError

__all__ = ["Classes", "UnmadeError", "rebuild"]

MOST_REACHED = 20_000
"""So many functions, classes and modules are looked through for classes of the app's."""


MOST_TEXT_BYTES = 64 << 20
"""Of an array of texts: numpy takes as many bytes for each as its type says, however short they are."""


class UnmadeError(LookupError):
    """A value cannot be made again; says what of it."""


class Classes:
    """The classes that may be made of recorded data, by their qualified names."""

    def __init__(self, known: Iterable[type] = ()) -> None:
        self._known: dict[str, type] = {}
        self._roots: list[object] = []
        self._frameworks: set[str] = set()
        for cls in _BUILTIN_ERRORS:
            self.add(cls)
        # With it ends a recorded replay that left its record.
        self._known[name_of(DivergenceError)] = DivergenceError
        for cls in known:
            self.add(cls)
            self._frameworks.add(_package(cls))

    def add(self, cls: type) -> None:
        """Allow a class, if it is one that holds data."""
        if _holds_data(cls):
            self._known.setdefault(name_of(cls), cls)

    def know_as(self, names: Mapping[str, type]) -> None:
        """Allow classes under names that are not their own."""
        self._known.update((name, cls) for name, cls in names.items() if _holds_data(cls))

    def find(self, name: str) -> type:
        """Return the class of a name.

        Raises:
            UnmadeError: it is not among those that may be made.
        """
        if name not in self._known and self._roots:
            self._look_through()
        cls = self._known.get(name)
        if cls is None:
            raise UnmadeError(f"an object of {name}, a class that the app's code does not name")
        return cls

    def reach(self, roots: Iterable[object]) -> None:
        """Allow the classes that code can name: of functions, their annotations, defaults, closures and modules.

        They are looked for once one is wanted that nobody has named. Nothing is called. The standard library and the
        frameworks are not looked through.
        """
        self._roots += roots

    def _look_through(self) -> None:
        seen: dict[int, object] = {}
        waiting, self._roots = self._roots, []
        while waiting and len(seen) < MOST_REACHED:
            thing = waiting.pop()
            if id(thing) in seen:
                continue
            seen[id(thing)] = thing
            if isinstance(thing, type):
                self.add(thing)
            if _package(thing) not in self._frameworks:
                waiting.extend(_named_by(thing))


def rebuild(body: bytes, part: Callable[[bytes], bytes | None], classes: Classes) -> Any:
    """Return the value of a body.

    Raises:
        UnmadeError: something in it was recorded by name only, is missing, or is of a class that may not be made.
        ValueError: the body is damaged.
    """
    making = _Making(part, classes)
    try:
        value = making.read(body)
    except UnmadeError:
        raise
    except (TypeError, AttributeError, LookupError, ArithmeticError, RecursionError) as failure:
        # No recorder writes such a thing: somebody made it by hand.
        raise UnmadeError(
            f"what nothing can be made of ({type(failure).__name__}: {failure!s:.80})"
        ) from failure
    _refuse_names(value)
    return value


class _Making(Reading):
    def __init__(self, part: Callable[[bytes], bytes | None], classes: Classes) -> None:
        super().__init__(part)
        self._classes = classes

    def record(self, type_name: str, fields: dict[Any, Any]) -> object:
        return _made(self._classes.find(type_name), fields)

    def missing(self, digest: bytes) -> object:
        raise UnmadeError("a part that is not kept")

    def failed(self, failure: Exception, digest: bytes | None) -> object:
        raise failure

    def nested(self, code: int, content: Any) -> object:
        if code == Code.ENUM:
            name, member, _ = content
            return _member(self._classes.find(name), member, content[2])
        if code == Code.SUBCLASS:
            return self._subclass(*content)
        if code == Code.ARRAY:
            return _array(*content)
        return super().nested(code, content)

    def _subclass(self, name: str, content: Any, fields: Mapping[str, Any] | None = None) -> object:
        make = _STANDARD.get(name)
        if make is not None:
            return make(content)
        cls = self._classes.find(name)
        bases: tuple[Any, ...] = (str, bytes, int, float, dict, list, tuple)
        base = next((base for base in bases if issubclass(cls, base)), None)
        # Of another type its constructor would make something else: of a number, so many bytes.
        if base is None or not isinstance(content, (list, tuple) if base is tuple else base):
            raise UnmadeError(f"an object of {name}")
        made: Any = base.__new__(cls, content) if base not in (dict, list) else base.__new__(cls)
        if base is dict:
            dict.update(made, content)
        elif base is list:
            list.extend(made, content)
        if fields:
            vars(made).update(fields)
        return made


def _made(cls: Any, fields: dict[Any, Any]) -> object:
    """Return an instance with these fields; none of the class's code runs."""
    if issubclass(cls, BaseException):
        args = fields.pop("args", ())
        # Of the class that Python itself lays out: that of an own class is the app's code.
        own: Any = next(base for base in cls.__mro__ if not FLAGS(base) & HEAP)
        error = own.__new__(cls, *args)
        BaseException.__dict__["args"].__set__(error, tuple(args))
        error.__dict__.update(fields)
        return error
    if issubclass(cls, tuple):
        return tuple.__new__(cls, [fields[name] for name in cls._fields])
    if hasattr(cls, "__pydantic_fields__") or hasattr(cls, "model_fields"):
        return _model(cls, fields)
    made = object.__new__(cls)
    order = [*getattr(cls, "__dataclass_fields__", {})]
    for name in sorted(fields, key=lambda name: order.index(name) if name in order else len(order)):
        _put(made, name, fields[name])
    return made


def _put(made: object, name: str, value: object) -> None:
    """Put a field where it is kept, in a slot or in the instance's dict: a property's setter is the class's code."""
    for base in type(made).__mro__:
        slot = vars(base).get(name)
        if isinstance(slot, types.MemberDescriptorType):
            slot.__set__(made, value)
            return
    vars(made)[name] = value


def _member(cls: Any, name: object, value: object) -> object:
    """Return an enum's member, by its name or else by its value; flags may be several at once."""
    if not issubclass(cls, enum.Enum):
        raise UnmadeError(f"an object of {name_of(cls)}, which is no enum")
    if name in cls.__members__:
        return cls.__members__[name]
    if value in cls._value2member_map_:
        return cls._value2member_map_[value]
    if issubclass(cls, enum.Flag) and type(value) is int and cls._missing_.__func__ is FLAGS_MISSING:
        return cls(value)
    raise UnmadeError(f"a member of {name_of(cls)} that it does not have any more")


def _model(cls: Any, fields: dict[str, Any]) -> object:
    """Return an instance of a pydantic model (2.x), as `model_construct` makes it: no validator runs."""
    made = object.__new__(cls)
    declared = getattr(cls, "__pydantic_fields__", None) or cls.model_fields
    state = {name: fields.pop(name) for name in declared if name in fields}
    extra: dict[str, Any] | None = fields if cls.model_config.get("extra") == "allow" else None
    if extra is None:
        state.update(fields)
    given = {name for name in state if name not in declared or not _is_default(declared[name], state[name])}
    object.__setattr__(made, "__dict__", state)
    object.__setattr__(made, "__pydantic_fields_set__", given | set(extra or ()))
    object.__setattr__(made, "__pydantic_extra__", extra)
    private = {name: item.get_default() for name, item in getattr(cls, "__private_attributes__", {}).items()}
    object.__setattr__(made, "__pydantic_private__", private or None)
    return made


def _is_default(field: Any, value: object) -> bool:
    default = field.default
    return type(default) is type(value) and type(value) in _PLAIN and default == value


_PLAIN = (str, bytes, int, float, bool, type(None))


def _array(name: str, form: str, shape: list[int], content: Any) -> object:
    numpy = sys.modules.get("numpy")
    texts = _texts(content, len(shape)) if re.fullmatch(r"[<>=|]?[US][0-9]+", form) else None
    if numpy is None or "[" in form or (texts is None and not isinstance(content, bytes)):
        raise UnmadeError(f"an array of {name}")
    if texts is None:
        array = numpy.frombuffer(content, dtype=form).reshape(shape).copy()
    else:  # as wide as what stands in it: a marker may be longer than a secret
        array = numpy.array(texts, dtype=form.strip("<>=|")[:1]).reshape(shape)
        width = numpy.dtype(form).itemsize
        if array.itemsize <= width and width * len(texts) <= MOST_TEXT_BYTES:
            array = array.astype(form)
    return array if name == "numpy.ndarray" else array[()]


def _texts(content: Any, levels: int) -> list[Any] | None:
    """Return the texts in nested lists of so many levels; None where there is anything else: numpy would ask it."""
    items = [content]
    for _ in range(levels):
        if any(type(item) is not list for item in items):
            return None
        items = [inner for item in items for inner in item]
    return items if all(type(item) in (str, bytes) for item in items) else None


FLAGS_MISSING: Any = vars(enum.Flag)["_missing_"].__func__

_STANDARD: dict[str, Callable[[Any], object]] = {
    "collections.deque": collections.deque,
    "collections.OrderedDict": collections.OrderedDict,
    "collections.Counter": collections.Counter,
    "range": lambda content: range(*content),
    "slice": lambda content: slice(*content),
    "pathlib.PosixPath": pathlib.PurePosixPath if sys.platform == "win32" else pathlib.PosixPath,
    "pathlib.PurePosixPath": pathlib.PurePosixPath,
    "pathlib.PureWindowsPath": pathlib.PureWindowsPath,
}

_BUILTIN_ERRORS = [
    thing
    for thing in vars(__import__("builtins")).values()
    if isinstance(thing, type) and issubclass(thing, Exception)
]


def _refuse_names(value: object) -> None:
    """Refuse what is known by name only; looks into plain containers, as objects were looked through when made."""
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, Opaque):
            if item.name != "ellipsis":
                raise UnmadeError(f"a {item.kind} {item.name}, of which no more than the name was recorded")
        elif isinstance(item, Missing):
            raise UnmadeError("a part that is not kept")
        elif isinstance(item, Cycle):
            raise UnmadeError("a value that contains itself")
        elif isinstance(item, dict):
            waiting += item.values()
        elif isinstance(item, list | tuple | set | frozenset):
            waiting += item
        elif hasattr(item, "__dict__") and not isinstance(item, type):
            waiting += vars(item).values()


# Which classes


def _holds_data(cls: type) -> bool:
    if any("__del__" in vars(base) for base in cls.__mro__):
        return False
    if issubclass(cls, enum.Enum | Exception | str | int | float | dict | list):
        return True
    if issubclass(cls, tuple):
        return hasattr(cls, "_fields")
    return dataclasses.is_dataclass(cls) or hasattr(cls, "__pydantic_fields__")


def _package(thing: object) -> str:
    """Return the top package in which a thing is defined; nothing for what is the standard library's."""
    module = getattr(thing, "__module__", None) or getattr(type(thing), "__module__", None)
    top = str(module or "").partition(".")[0]
    return "" if top in sys.stdlib_module_names else top


def _named_by(thing: object) -> Iterable[object]:
    """Return what a function, a class or an annotation names."""
    if isinstance(thing, types.MethodType):
        return (thing.__func__, thing.__self__)
    function: Any = inspect.unwrap(thing) if callable(thing) else thing
    if isinstance(function, types.FunctionType):
        cells = [cell.cell_contents for cell in function.__closure__ or () if _is_full(cell)]
        defaults = [*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()]
        globals = filter(_may_name, list(function.__globals__.values()))
        return [*_hints(function), *cells, *defaults, *_by_name(function), *globals]
    if isinstance(thing, type):
        own = [item for item in vars(thing).values() if isinstance(item, types.FunctionType)]
        return [*_hints(thing), *own, *thing.__bases__] if _package(thing) else ()
    arguments = typing.get_args(thing)
    return [*arguments, typing.get_origin(thing)] if arguments else ()


def _by_name(function: types.FunctionType) -> Iterable[object]:
    """Yield what the names in a function's code stand for: globals, and what it takes out of modules by name.

    A module that it imports when it runs counts if somebody has imported it already.
    """
    names = function.__code__.co_names
    for name in names:
        thing = function.__globals__.get(name, sys.modules.get(name))
        if isinstance(thing, types.ModuleType):
            yield from (vars(thing).get(part) for part in names)
        else:
            yield thing


def _may_name(thing: object) -> bool:
    return isinstance(thing, type) and _holds_data(thing)


def _is_full(cell: types.CellType) -> bool:
    try:
        cell.cell_contents  # noqa: B018
    except ValueError:
        return False
    return True


def _hints(thing: Any) -> list[object]:
    try:
        return list(typing.get_type_hints(thing).values())
    except Exception:  # names that are known to type checkers alone
        return [hint for hint in getattr(thing, "__annotations__", {}).values() if not isinstance(hint, str)]
