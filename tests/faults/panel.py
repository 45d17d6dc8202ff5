"""A panel: somebody asks, several look something up side by side, one puts together what they say.

Its models are pure functions too: whoever looked something up writes down what the tool said, and the last one reads
the lines of the others.
"""

from __future__ import annotations

import asyncio
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Annotated, Any

from autogen_agentchat.teams import RoundRobinGroupChat
from autogen_core.models import FunctionExecutionResultMessage, SystemMessage
from autogen_core.tools import FunctionTool
from langchain_core.messages import AIMessage
from langchain_core.tools import StructuredTool
from langgraph.graph import START, StateGraph
from tests.faults.case import Framework
from tests.faults.plan import Plan
from tests.faults.world import World
from tests.integrations.fakes_autogen import Said, calls, speaker, text_of
from tests.integrations.fakes_langchain import PureModel
from typing_extensions import TypedDict

__all__ = ["SHOPS", "Panel", "offers"]

SHOPS = ("Oslo", "Turin", "Ghent", "Porto", "Basel")

_LINE = re.compile(r"(?:The shop in )?(\w+) (?:sells|offers it|has it) (?:at|for) \$([\d,]+\.\d\d)")
_PRICE = re.compile(r"unit_price\W+(\d+\.\d\d)")


def offers(text: str) -> dict[str, Decimal]:
    """Return the prices by shop that a text tells."""
    return {shop: Decimal(price.replace(",", "")) for shop, price in _LINE.findall(text)}


class Asked(TypedDict, total=False):
    request: str
    found: Annotated[list[str], operator.add]
    answer: str


@dataclass
class Panel:
    """Who looks up what, and what is made of it."""

    world: World
    prices: Mapping[str, Decimal]
    joined: Callable[[dict[str, Decimal]], str]
    """Takes what the others say; returns the answer."""
    idle: frozenset[str] = frozenset()
    """Shops that nobody looks up, though somebody says that he did."""
    said: Callable[[str, str], str] = lambda shop, text: text
    """Takes a shop and what its agent says; returns what it says."""
    names: Sequence[str] = field(default_factory=tuple)

    def __post_init__(self) -> None:
        """Name the agents: first who asks, last who answers."""
        self.names = self.world.rng.sample(Plan.NAMES, len(self.prices) + 2)

    @property
    def last(self) -> str:
        """Who answers."""
        return self.names[-1]

    def who(self, shop: str) -> str:
        """Return who looks a shop up."""
        return self.names[1 + list(self.prices).index(shop)]

    def request(self) -> str:
        """Return what the user says."""
        item, order = self.world.asked["item"], self.world.asked["order"]
        return f"What does a {item} cost in {', '.join(self.prices)}? Order number: {order}"

    def look_up(self, shop: str) -> dict[str, Any]:
        """Look up what a shop asks."""
        return {"shop": shop, "unit_price": str(self.prices[shop])}

    def tells(self, shop: str, result: str) -> str:
        """Return what whoever looked a shop up says of the tool's answer."""
        price = (_PRICE.findall(result) or ["0.00"])[0]
        form = ("{} sells at ${}", "The shop in {} offers it for ${}", "{} has it for ${}")[
            self.world.seed % 3
        ]
        return self.said(shop, form.format(shop, price))

    def run(self, framework: Framework) -> None:
        """Run it on the real framework."""
        if framework == "langgraph":
            self._graph().invoke({"request": self.request()})
        else:
            asyncio.run(self._team())

    def _graph(self) -> Any:
        tool = StructuredTool.from_function(self.look_up, name="look_up", description="Look up a shop.")
        graph: Any = StateGraph(Asked)

        def works(shop: str) -> Any:
            def node(state: Asked) -> dict[str, Any]:
                if shop in self.idle:
                    return {"found": [self.said(shop, f"{shop} has none of them at present.")]}
                call = {"name": "look_up", "args": {"shop": shop}, "id": f"call-{shop}", "type": "tool_call"}
                asks = PureModel(answer=lambda m: AIMessage("", tool_calls=[call]))
                wished = asks.invoke(f"{state['request']}\nYou look after {shop}.")
                result = tool.invoke(wished.tool_calls[0])
                says = PureModel(answer=lambda m: AIMessage(self.tells(shop, str(m[-1].content))))
                return {"found": [str(says.invoke([wished, result]).content)]}

            return node

        def joins(state: Asked) -> dict[str, Any]:
            model = PureModel(answer=lambda m: AIMessage(self.joined(offers(str(m[-1].content)))))
            return {"answer": str(model.invoke("\n".join(state["found"])).content)}

        graph.add_node(self.names[0], lambda state: {"found": []})
        graph.add_edge(START, self.names[0])
        for shop in self.prices:
            graph.add_node(self.who(shop), works(shop))
            graph.add_edge(self.names[0], self.who(shop))
        graph.add_node(self.last, joins)
        graph.add_edge([self.who(shop) for shop in self.prices], self.last)
        return graph.compile()

    async def _team(self) -> None:
        tool = FunctionTool(self.look_up, "Look up a shop.", name="look_up")

        def tells(shop: str) -> Any:
            def answer(messages: Any) -> Said:
                results = [m for m in messages if isinstance(m, FunctionExecutionResultMessage)]
                return self.tells(shop, results[-1].content[0].content)

            return answer

        def looks(shop: str) -> Any:
            if shop in self.idle:
                return speaker(
                    self.who(shop), lambda m: self.said(shop, f"{shop} has none of them at present.")
                )
            answer = calls("look_up", tells(shop), shop=shop)
            return speaker(self.who(shop), answer, tools=[tool], reflect_on_tool_use=True)

        def joins(messages: Any) -> Said:
            said = "\n".join(text_of(m) for m in messages if not isinstance(m, SystemMessage))
            return self.joined(offers(said))

        agents = [*(looks(shop) for shop in self.prices), speaker(self.last, joins)]
        await RoundRobinGroupChat(agents, max_turns=len(agents)).run(task=self.request())
