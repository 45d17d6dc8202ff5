"""What is known of an app's objects: known as long as they live, and kept alive by nothing of ours."""

from __future__ import annotations

import weakref

from becausal_integrations.identity import ByIdentity, Recent, weakly


class Thing:
    """An object that equals every other, and cannot be hashed."""

    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        return True


class Slotted:
    """An object that cannot be referred to weakly."""

    __slots__ = ()


def test_what_is_known_of_an_object_is_known_of_no_other() -> None:
    known, one, other = ByIdentity[str](), Thing(), Thing()

    known.put(one, "one")

    assert (known.get(one), known.get(other)) == ("one", None)
    assert known.among([other, one]) == [(one, "one")]
    assert (known.pop(one), known.pop(one), len(known)) == ("one", None, 0)


def test_an_object_that_is_gone_is_forgotten_and_not_kept_for_us() -> None:
    known, thing = ByIdentity[str](), Thing()
    known.put(thing, "one")
    gone = weakref.ref(thing)

    del thing

    assert (gone(), len(known)) == (None, 0)


def test_the_last_that_is_noted_of_an_object_counts() -> None:
    known, thing = ByIdentity[str](), Thing()

    known.put(thing, "first")
    known.put(thing, "second")

    assert (known.get(thing), len(known)) == ("second", 1)


def test_the_entry_that_was_not_asked_for_longest_goes_first() -> None:
    recent = Recent[int](2)
    recent.put("a", 1)
    recent.put("b", 2)

    assert recent.find("a") == 1
    recent.put("c", 3)

    assert list(recent) == ["a", "c"]


def test_an_entry_that_is_noted_again_is_recent_again() -> None:
    recent = Recent[int](2)
    for key, value in (("a", 1), ("b", 2), ("a", 3), ("c", 4)):
        recent.put(key, value)

    assert dict(recent) == {"a": 3, "c": 4}


def test_an_object_is_referred_to_weakly_where_it_can_be() -> None:
    thing, slotted = Thing(), Slotted()
    referred, held = weakly(thing), weakly(slotted)
    assert referred() is thing

    del thing

    assert referred() is None
    assert held() is slotted
