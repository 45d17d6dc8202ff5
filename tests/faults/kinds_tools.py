"""Faults of tools, and of what stands between a decision and a tool."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from tests.faults.app import App
from tests.faults.case import Framework, Label, Site, Variant, fault
from tests.faults.edits import spoilt
from tests.faults.plan import Plan
from tests.faults.world import World

TOOL = "get_offer"


def of_tool(at: int | None = 0, tool: str = TOOL) -> Label:
    return Label((Site("tool", tool, at),), tool=tool)


def wrapped(app: App, change: Callable[[int, Any], Any], tool: str = TOOL) -> None:
    """Put something around a tool that changes what it answers; it is told which call it is."""
    inner, made = app.tools[tool], [0]

    def get_offer(item: str, region: str = "all") -> Any:
        """Return what an item costs and how many there are."""
        made[0] += 1
        return change(made[0] - 1, inner(item, region))

    app.tools[tool] = get_offer


def several_askers(world: World, count: int, *, regions: bool) -> App:
    """Return a chain of agents of whom several call the tool, each for a region of its own or all for the same."""
    plan = Plan.of(world.rng, "chain", depth=world.rng.randint(count + 1, 8))
    app = App.of(world, plan, asker=plan.first)
    for place, name in enumerate(plan.agents[:count]):
        region = f":{('north', 'south', 'east', 'west')[place]}" if regions else ""
        app.roles[name].calls = (f"{TOOL}{region}",)
        app.roles[name].reckons = True
    return app


@fault("F01", "wrong value of a tool")
def wrong_value(world: World, variant: Variant, framework: Framework) -> Label:
    app = App.of(world, Plan.of(world.rng))
    app.is_awaited = False
    wrong = spoilt("price", world.price, world.rng)
    if variant == "faulty":
        wrapped(app, lambda _, got: got | {"unit_price": str(wrong)})
    if variant == "sham":
        wrapped(app, lambda _, got: got | {"unit_price": f"{got['unit_price']}0"})
    app.run(framework)
    return Label((Site("tool", TOOL),), tool=TOOL, value=f"{wrong:.2f}", of=Site("handoff", app.plan.last))


@fault("F02", "stale cache of a tool", "tool.stale")
def stale_cache(world: World, variant: Variant, framework: Framework) -> Label:
    app = several_askers(world, 3, regions=False)
    marked = world.rng.choice(("version", "updated_at", ""))
    order = {"clean": (1, 2, 2), "sham": (1, 1, 2), "faulty": (1, 2, 1)}[variant]
    if variant == "faulty" and marked and world.rng.random() < 0.5:
        order = (2, 2, 1)

    def served(call: int, got: Any) -> Any:
        version = order[min(call, 2)]
        told = {
            "version": {"version": version},
            "updated_at": {"updated_at": f"2026-10-0{version}T10:00:00Z"},
        }
        return got | {"unit_price": str(world.price + (version - 1) * 7)} | told.get(marked, {})

    wrapped(app, served)
    app.run(framework)
    return of_tool(2)


@fault("F03", "a tool answers nothing", "tool.empty")
def silent_empty(world: World, variant: Variant, framework: Framework) -> Label:
    app = App.of(world, Plan.of(world.rng))
    nothing: Any = world.rng.choice(("", [], {}, None, "null", '{"results": []}', "No results found."))
    if variant == "faulty":
        wrapped(app, lambda _, __: nothing)
    if variant == "sham":
        wrapped(app, lambda _, got: got | {"discounts": [], "remark": ""})
    app.run(framework)
    return of_tool()


@fault("F04", "one page of several", "tool.partial")
def partial_page(world: World, variant: Variant, framework: Framework) -> Label:
    app = App.of(world, Plan.of(world.rng))
    size, shown = world.rng.randint(5, 9), world.rng.randint(1, 3)
    offers = [{"shop": f"shop {i}", "unit_price": str(world.price + i * 3)} for i in range(size)]
    world.rng.shuffle(offers)
    more: dict[str, Any] = world.rng.choice(
        ({"has_more": True}, {"next_cursor": "c-2"}, {"pages": 3, "page": 1}, {})
    )
    done = {"has_more": False, "next_cursor": None, "pages": 1, "page": 1}

    def page(_: int, __: Any) -> Any:
        if variant == "faulty":
            return {"items": offers[:shown], "total": size, **more}
        if variant == "sham":
            return {"items": offers[:shown], "total": shown, **{key: done[key] for key in more}}
        return {"items": offers, "total": size}

    wrapped(app, page)
    app.run(framework)
    return of_tool()


ERRORS = (
    "<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>",
    "Error: connection timed out after 30 s",
    '{"error": "rate limit exceeded", "status": 429}',
    '{"success": false, "message": "backend not reachable"}',
    "HTTP 503 Service Unavailable",
    "Traceback (most recent call last):\n  File \"shop.py\", line 3, in get\nKeyError: 'price'",
)


@fault("F05", "an error told as data", "tool.error_as_data")
def error_as_data(world: World, variant: Variant, framework: Framework) -> Label:
    app = App.of(world, Plan.of(world.rng))
    error = world.rng.choice(ERRORS)
    if variant == "faulty":
        wrapped(app, lambda _, __: error)
    if variant == "sham":
        wrapped(
            app, lambda _, got: got | {"remark": "Returns are free if a failure or error shows within a year"}
        )
    app.run(framework)
    return of_tool()


@fault("F06", "a field of another name", "tool.schema")
def schema_drift(world: World, variant: Variant, framework: Framework) -> Label:
    app = several_askers(world, world.rng.choice((3, 4)), regions=True)
    count = sum(bool(role.calls) for role in app.roles.values())
    bad = world.rng.randrange(count)

    def drifted(call: int, got: Any) -> Any:
        if call != bad or variant == "clean":
            return got
        if variant == "sham":
            return dict(reversed(list(got.items())))
        return {"price_each" if key == "unit_price" else key: value for key, value in got.items()}

    wrapped(app, drifted)
    app.run(framework)
    return of_tool(bad)


@fault("F08", "another argument than was decided", "tool.not_as_decided")
def not_as_decided(world: World, variant: Variant, framework: Framework) -> Label:
    app = App.of(world, Plan.of(world.rng))
    role = app.roles[app.asker]
    role.calls = (f"{TOOL}:north",)
    name = world.rng.choice(("item", "region"))

    def executed(_: str, decided: dict[str, Any]) -> dict[str, Any]:
        if variant == "faulty":
            return decided | {name: {"item": "garden gnome", "region": "south"}[name]}
        return dict(reversed(list(decided.items()))) if variant == "sham" else decided

    app.meddler.executed = executed
    app.run(framework)
    return of_tool()


def place_order(item: str, region: str = "all") -> dict[str, Any]:
    """Order an item."""
    return {"item": item, "placed": True, "unit_price": "19.50"}


@fault("F09", "an effect done twice", "tool.repeated")
def done_twice(world: World, variant: Variant, framework: Framework) -> Label:
    app = App.of(world, Plan.of(world.rng))
    tool = world.rng.choice(("place_order", "send_payment", "book_shipment", "create_ticket"))
    app.tools[tool] = place_order
    app.roles[app.asker].calls = (TOOL, tool)
    twice = {"faulty": tool, "sham": TOOL, "clean": ""}[variant]
    app.meddler.ran = lambda name: 2 if name == twice else 1
    app.run(framework)
    return of_tool(1, tool)


@fault("X01", "a tool's answer breaks off", "tool.cut_off")
def cut_off(world: World, variant: Variant, framework: Framework) -> Label:
    app = App.of(world, Plan.of(world.rng))
    share = world.rng.uniform(0.2, 0.95)

    def broken(_: int, got: Any) -> Any:
        text = json.dumps(
            got | {"terms": "Delivered to the kerb, paid in thirty days, no returns of cut wood."}
        )
        if variant == "faulty":
            return text[: int(len(text) * share)]
        return json.dumps(json.loads(text), indent=1) if variant == "sham" else text

    wrapped(app, broken)
    app.run(framework)
    return of_tool()


@fault("X02", "a tool fails, and the agent goes on without", "tool.failed", "tool.error_as_data")
def failed(world: World, variant: Variant, framework: Framework) -> Label:
    app = App.of(world, Plan.of(world.rng))
    inner, made = app.tools[TOOL], [0]

    def raising(item: str, region: str = "all") -> Any:
        """Return what an item costs and how many there are."""
        made[0] += 1
        if variant == "faulty" or (variant == "sham" and made[0] == 1):
            raise ConnectionError("the shop does not answer")
        return inner(item, region)

    app.tools[TOOL] = raising
    app.retries = 1 if variant == "sham" else 0
    app.run(framework)
    return of_tool()


@fault("X03", "an answer about something else", "tool.irrelevant", "tool.not_as_decided")
def wrong_entity(world: World, variant: Variant, framework: Framework) -> Label:
    app = App.of(world, Plan.of(world.rng))

    def about(_: int, got: Any) -> Any:
        if variant == "faulty":
            return got | {"item": "garden gnome"}
        return got | {"item": str(got["item"]).title()} if variant == "sham" else got

    wrapped(app, about)
    app.run(framework)
    return of_tool()
