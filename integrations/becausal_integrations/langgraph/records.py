"""From the operations and records of LangGraph's stores to ours. Pure, and without importing LangGraph."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from becausal import semconv
from becausal.canonical import digest_text, encode
from becausal.recorder import NOTHING, Opening, Sealed
from becausal.redaction import in_force
from becausal.step import Attribute, OpenStep, StepKind
from becausal.versions import Version

if TYPE_CHECKING:
    from langgraph.store.base import BaseStore

__all__ = ["Call", "Operation", "digest_of", "hits", "operations_of", "record_name"]

MAX_DEPTH = 64
"""How deep a value is taken to JSON's types; what lies deeper is compared as it is."""

LEAVES = frozenset({str, int, float, bool, type(None)})

Seal = Callable[[object], Sealed]


@dataclass(slots=True, eq=False, repr=False)
class Operation:
    """One operation of a store, from the moment that it is asked for."""

    store: BaseStore
    opening: Opening
    key: str = ""  # of the one record that it is about
    finds: Literal["record", "records", "namespaces"] = "record"
    digest: str | None = None  # of what is written; None: the record is deleted
    step: OpenStep | None = None
    counted: Version | None = None

    @property
    def writes(self) -> bool:
        """Whether it changes the store."""
        return self.opening.kind == "memory_write"


class Call(NamedTuple):
    """One call of a store's method."""

    operations: Sequence[Operation]  # none of ours: what a store does in a task of its own
    is_batch: bool


def operations_of(
    store: BaseStore, door: str, args: Sequence[Any], kwargs: Mapping[str, Any], seal: Seal
) -> list[Operation]:
    """Return what a call of a store's method asks; `door` is the method, by its sync name."""
    match door:
        case "get":
            return [_get(store, *args, **kwargs)]
        case "put":
            return [_put(store, seal, *args, **kwargs)]
        case "delete":
            return [_delete(store, *args, **kwargs)]
        case "search":
            return [_search(store, *args, **kwargs)]
        case "list_namespaces":
            return [_list_namespaces(store, **kwargs)]
        case _:
            return _batch(store, seal, *args, **kwargs)


def _get(store: BaseStore, namespace: Any = (), key: Any = "", **_: Any) -> Operation:
    return _about(store, "memory_read", {"namespace": namespace, "key": key}, record_name(namespace, key))


def _put(
    store: BaseStore, seal: Seal, namespace: Any = (), key: Any = "", value: Any = None, *_: Any, **__: Any
) -> Operation:
    if value is None:
        return _delete(store, namespace, key)
    sealed = seal(value)
    operation = _about(store, "memory_write", sealed, record_name(namespace, key))
    operation.digest = digest_of(value, sealed)
    return operation


def _delete(store: BaseStore, namespace: Any = (), key: Any = "", **_: Any) -> Operation:
    operation = _about(store, "memory_write", NOTHING, record_name(namespace, key))
    operation.opening.attributes[semconv.OPERATION_NAME] = "delete_memory"
    return operation


def _search(store: BaseStore, namespace_prefix: Any = (), /, **asked: Any) -> Operation:
    operation = _about(store, "memory_read", {"namespace_prefix": namespace_prefix, **asked})
    operation.finds = "records"
    return operation


def _list_namespaces(store: BaseStore, **asked: Any) -> Operation:
    operation = _about(store, "memory_read", asked)
    operation.finds = "namespaces"
    return operation


def _batch(store: BaseStore, seal: Seal, ops: Iterable[Any] = ()) -> list[Operation]:
    asked: list[Operation] = []
    for op in ops:
        match type(op).__name__:
            case "GetOp":
                asked.append(_get(store, op.namespace, op.key))
            case "PutOp":
                asked.append(_put(store, seal, op.namespace, op.key, op.value))
            case "SearchOp":
                said = {"query": op.query, "filter": op.filter, "limit": op.limit, "offset": op.offset}
                asked.append(_search(store, op.namespace_prefix, **said))
            case _:
                conditions = getattr(op, "match_conditions", None)
                asked.append(_list_namespaces(store, match_conditions=conditions))
    return asked


def _about(store: BaseStore, kind: StepKind, received: object, key: str = "") -> Operation:
    name = str(getattr(store, "name", None) or type(store).__name__)
    attributes: dict[str, Attribute] = {semconv.MEMORY_STORE: name}
    if key:
        attributes[semconv.MEMORY_RECORD] = key
    return Operation(store, Opening(kind, name, received=received, attributes=attributes), key)


def hits(found: Iterable[Any]) -> Iterator[tuple[str, Any]]:
    """Yield the name and the value of each record that a search found."""
    for item in found:
        yield record_name(item.namespace, item.key), item.value


def record_name(namespace: Any, key: Any) -> str:
    """Return a record's name, `label/label/key`; a slash within one of them is written `%2F`."""
    labels = namespace if isinstance(namespace, tuple | list) else (namespace,)
    return "/".join(str(part).replace("/", "%2F") for part in (*labels, key))


def digest_of(value: Any, sealed: Sealed | None = None) -> str:
    """Return the digest by which a value is known again, also after a database has kept it as JSON.

    Args:
        sealed: the value's own seal, where it has one. None is made for it: the recorder's encoder would take the
            bodies for handed out.
    """
    as_json = _as_json(value)
    return (
        sealed.payload.digest
        if sealed and as_json is value
        else digest_text(encode(as_json, in_force()).digest)
    )


def _as_json(value: Any, depth: int = 0) -> Any:
    """Return a value with a dict or a list for all that JSON makes one of; itself, if that changes nothing."""
    kind = type(value)
    if kind in LEAVES or depth > MAX_DEPTH:
        return value
    if kind is dict or isinstance(value, Mapping):
        made = {
            key if type(key) is str else str(key): item if type(item) in LEAVES else _as_json(item, depth + 1)
            for key, item in value.items()
        }
        is_same = kind is dict and all(key in made and made[key] is value[key] for key in value)
        return value if is_same else made
    if isinstance(value, list | tuple):
        items = [item if type(item) in LEAVES else _as_json(item, depth + 1) for item in value]
        return value if kind is list and all(map(operator.is_, items, value)) else items
    return value
