"""The promise: what an app gets with becausal is bounded below and above, and each of it says what it is for.

Advisories are asked for by `pip-audit` (SECURITY.md); this holds without a network.
"""

from __future__ import annotations

import contextlib
import re
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

SOURCE = (Path(__file__).parent.parent / "pyproject.toml").read_text(encoding="utf-8")
PROJECT = tomllib.loads(SOURCE)["project"]

FOR_US = ("test", "dev")
"""Extras that reach no app."""

REASON = "no upper bound: "


def lines() -> dict[str, str]:
    """Return the line of the file on which each requirement stands."""
    return {
        quoted: line
        for line in SOURCE.splitlines()
        for quoted in re.findall(r'"([^"]+)"', line)
        if re.match(r"[\w.-]+(\[[\w,-]+\])?[<>=~!]", quoted)
    }


def reaching_apps() -> list[str]:
    extras = PROJECT["optional-dependencies"]
    listed = [
        *PROJECT["dependencies"],
        *(one for name in extras if name not in FOR_US for one in extras[name]),
    ]
    return [one for one in listed if not one.startswith("becausal[")]


@pytest.mark.parametrize("said", reaching_apps())
def test_a_dependency_is_bounded_on_both_sides_or_says_why_it_is_not(said: str) -> None:
    operators = {one.operator for one in Requirement(said).specifier}
    line = lines()[said]

    assert operators & {">=", "==", "~="}, f"{said} has no lower bound"
    assert operators & {"<", "<=", "==", "~="} or REASON in line, (
        f"{said}: add a bound, or {REASON!r} and why"
    )
    assert "#" in line, f"{said} does not say what it is for"


@pytest.mark.parametrize("said", [one for name in FOR_US for one in PROJECT["optional-dependencies"][name]])
def test_what_only_we_need_has_a_lower_bound(said: str) -> None:
    assert said.startswith("becausal[") or {one.operator for one in Requirement(said).specifier} & {
        ">=",
        "==",
    }


@pytest.mark.parametrize("said", reaching_apps())
def test_what_is_tested_with_is_inside_the_bounds(said: str) -> None:
    requirement = Requirement(said)
    try:
        version = metadata.version(requirement.name)
    except metadata.PackageNotFoundError:
        pytest.skip(f"{requirement.name} is not installed")
    assert requirement.specifier.contains(version, prereleases=True)


def test_no_dependency_stands_there_twice() -> None:
    names = [canonicalize_name(Requirement(said).name) for said in reaching_apps()]

    assert sorted(names) == sorted(set(names))


def test_no_dependency_comes_from_elsewhere_than_an_index() -> None:
    assert [said for said in reaching_apps() if Requirement(said).url is not None] == []


def brought_by(extra: str) -> set[str]:
    """Return what is installed along with an extra."""
    found: set[str] = set()
    waiting = [Requirement(one) for one in PROJECT["optional-dependencies"][extra]]
    while waiting:
        name = canonicalize_name(waiting.pop().name)
        if name in found:
            continue
        found.add(name)
        with contextlib.suppress(metadata.PackageNotFoundError):
            needs = [Requirement(one) for one in metadata.requires(name) or ()]
            waiting += [one for one in needs if one.marker is None or one.marker.evaluate({"extra": ""})]
    return found - {"becausal"}


@pytest.mark.parametrize("extra", PROJECT["optional-dependencies"])
def test_an_extra_that_is_added_later_does_not_bring_a_protobuf_that_autogen_refuses(extra: str) -> None:
    """pip takes the newest of what is not there yet, and changes protobuf for it: whatever else needs the old one."""
    autogen = [Requirement(one) for one in metadata.requires("autogen-core") or ()]
    (wanted,) = (one.specifier for one in autogen if one.name == "protobuf")
    if wanted.contains("6.33.5") or "googleapis-common-protos" not in brought_by(extra):
        return

    said = [Requirement(one) for one in PROJECT["optional-dependencies"][extra]]
    (bounds,) = (one.specifier for one in said if one.name == "googleapis-common-protos")
    assert bounds.contains("1.75.0")
    assert not bounds.contains("1.75.1")
