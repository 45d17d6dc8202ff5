"""Faults in other ways of working together: supervisors, critics, swarms, prebuilt agents, sends, flows, selectors."""

from __future__ import annotations

from typing import Any

from tests.faults.case import Framework, Label, Site, Variant, fault
from tests.faults.kinds_models import of_agent
from tests.faults.topologies import TOPOLOGIES, Hooks, names_for
from tests.faults.world import World

__all__: list[str] = []

SPEAK = {
    "T01": slice(1, None),
    "T02": slice(0, 1),
    "T05": slice(0, 4),
    "T06": slice(0, None),
    "T07": slice(1, 2),
    "T08": slice(0, 1),
}
"""Which of a topology's agents speak by the hook."""


def _invented(id: str) -> Any:
    def play(world: World, variant: Variant, framework: Framework) -> Label:
        names = names_for(world)
        agent = world.rng.choice(names[SPEAK[id]])
        line = f"\nReference: QY-{world.rng.randint(10417, 98127)}"

        def says(who: str, text: str) -> str:
            if who != agent or variant == "clean":
                return text
            return text + line if variant == "faulty" else "As agreed:\n" + text

        TOPOLOGIES[id][1](world, names, Hooks(says))
        return of_agent(agent)

    return play


def _broken(id: str, tool: str) -> Any:
    def play(world: World, variant: Variant, framework: Framework) -> Label:
        names = names_for(world)
        bad = world.rng.randrange(3) if id == "T04" else 0
        error = "<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>"

        def answers(call: int, text: str) -> str:
            if call != bad or variant == "clean":
                return text
            return error if variant == "faulty" else text.replace('", "', '",  "')

        TOPOLOGIES[id][1](world, names, Hooks(answers=answers))
        return Label((Site("tool", tool, None),), tool=tool)

    return play


for _id, (_framework, _topology, _where) in TOPOLOGIES.items():
    _what = (_topology.__doc__ or _id).rstrip(".")
    if _where == "model":
        fault(_id, f"a value from nowhere; {_what}", "model.ungrounded", on=(_framework,))(_invented(_id))
    else:
        _tool = "look_up" if _id == "T04" else "get_offer"
        fault(_id, f"an error told as data; {_what}", "tool.error_as_data", on=(_framework,))(
            _broken(_id, _tool)
        )
