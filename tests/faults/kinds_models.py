"""Faults of what agents say of what they were told."""

from __future__ import annotations

from tests.faults.app import App
from tests.faults.case import Framework, Label, Site, Variant, fault
from tests.faults.edits import in_text, reworded, spoilt
from tests.faults.plan import Plan
from tests.faults.world import World, read, write

__all__ = ["of_agent"]


def of_agent(name: str) -> Label:
    """Return the label of a fault of an agent's: its turn, or its model's call in it."""
    return Label((Site("agent", name, None), Site("model", name, None)), agent=name)


@fault("F10", "a value from nowhere", "model.ungrounded")
def invented(world: World, variant: Variant, framework: Framework) -> Label:
    app = App.of(world, Plan.of(world.rng))
    agent = world.rng.choice(app.plan.agents)
    made_up = world.rng.choice(
        (
            f"\nDeposit: ${world.rng.randint(15, 94)}{world.rng.randint(10, 99)}.50",
            f"\nReference: QY-{world.rng.randint(10417, 98127)}",
        )
    )

    def said(name: str, text: str) -> str:
        if name != agent or variant == "clean":
            return text
        return text + made_up if variant == "faulty" else "Dear colleague, as agreed:\n" + text

    app.meddler.said = said
    app.run(framework)
    return of_agent(agent)


@fault("F20", "a summary loses a condition", "drift.lost_fact")
def lost_fact(world: World, variant: Variant, framework: Framework) -> Label:
    app = App.of(world, Plan.of(world.rng, "chain"))
    agent = world.rng.choice(app.plan.agents[:-1])
    name = world.pick("budget", "deadline", "order", "quantity", "link", "contact")
    if name == "quantity":  # a total stands for it where it was reckoned
        app.roles[app.asker].reckons = False

    def said(who: str, text: str) -> str:
        if who != agent or variant == "clean":
            return text
        values = read(text)
        kept = {key: value for key, value in values.items() if key != name} if variant == "faulty" else values
        role = app.roles[agent]
        return "In short:\n" + write(kept, "prose" if role.style != "prose" else "lines", role.form)

    app.meddler.said = said
    app.run(framework)
    return of_agent(agent)


@fault("F22", "a value drifts", "drift.changed_fact")
def drifted(world: World, variant: Variant, framework: Framework) -> Label:
    app = App.of(world, Plan.of(world.rng))
    first = world.rng.randrange(len(app.plan.agents) - 1)
    agent, name = (
        app.plan.agents[first],
        world.pick("quantity", "budget", "deadline", "order", "contact", "link"),
    )
    is_cumulative = world.rng.random() < 0.4 and app.plan.topology == "chain"
    drifting = app.plan.agents[first:-1] if is_cumulative else (agent,)

    def said(who: str, text: str) -> str:
        if who not in drifting or variant == "clean":
            return text
        if variant == "sham":
            return reworded(text, world.rng)
        return in_text(text, name, lambda value: spoilt(name, value, world.rng))

    app.meddler.said = said
    app.run(framework)
    return of_agent(agent)


@fault("X05", "a guess becomes a certainty", "confidence.inflated")
def inflated(world: World, variant: Variant, framework: Framework) -> Label:
    app = App.of(world, Plan.of(world.rng, "chain"), is_record=False)  # a record's fields have no hedges
    surer = world.rng.choice(app.plan.agents[1:])
    certain = app.plan.agents[app.plan.agents.index(surer) :]
    hedge, other = world.rng.sample(("probably", "perhaps", "maybe"), 2)
    world.aside = f"\nDeposit: {hedge} ${world.rng.randint(1500, 9400):,}.00"

    def said(who: str, text: str) -> str:
        if variant == "faulty" and who in certain:
            return text  # the hedge is gone: the model's own wording has none
        return _hedged(text, other if variant == "sham" and who in certain else hedge)

    app.meddler.said = said
    app.run(framework)
    return of_agent(surer)


def _hedged(text: str, hedge: str) -> str:
    values = read(text)
    for form in range(3):
        said = write({"deposit": values.get("deposit", 0)}, "lines", form).partition(": ")[2]
        if said in text:
            return text.replace(said, f"{hedge} {said}", 1)
    return text
