"""A step that is to be edited may be said by its name, and is never guessed at."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

import becausal
from becausal.cli import main
from becausal.run import Run


@becausal.tool
def price(item: str) -> int:
    return len(item)


@becausal.tool
def stock(item: str) -> int:
    return 7


def shop(list_of_items: str) -> str:
    items = list_of_items.split()
    with becausal.chain(list_of_items) as turn:
        told = " ".join(f"{item} {price(item)}" for item in items) + f" {stock(items[0])}"
        turn.returned(told)
        return told


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Path]:
    becausal.instrument("threads", store=tmp_path / "becausal.db")
    yield tmp_path / "becausal.db"
    becausal.uninstrument()


@pytest.fixture
def run(store: Path) -> Run:
    shop("tea milk")
    return becausal.last_run()


def test_a_name_that_is_one_step_s_alone_is_that_step(run: Run) -> None:
    assert run.replay(shop, edit={"stock": 3}).value == "tea 3 milk 4 3"
    assert run.replay(shop, edit=becausal.edit("stock").to(4)).value == "tea 3 milk 4 4"


@pytest.mark.parametrize("edit", [{"price": 9}, becausal.edit("price").to(9)])
def test_of_a_name_that_ran_more_than_once_it_is_told_what_it_may_mean_and_how_to_write_each(
    run: Run, edit: object
) -> None:
    ran: list[object] = []

    with pytest.raises(becausal.ReplayError) as refused:
        run.replay(ran.append, edit=edit)

    told = str(refused.value).splitlines()
    assert told[0].startswith("the edit of 'price' may mean 2 steps: write the id")
    assert "addresses nothing" not in str(refused.value)
    assert [line.split()[1:] for line in told[1:]] == [
        ["tool", "price,", "given", "item:", "tea"],
        ["tool", "price,", "given", "item:", "milk"],
    ]
    assert ran == []
    for line, value in zip(told[1:], ("tea 9 milk 4 7", "tea 3 milk 9 7"), strict=True):
        assert run.replay(shop, edit={line.split()[0]: 9}).value == value


def test_each_of_several_steps_of_a_name_may_be_edited(run: Run) -> None:
    steps = [step.id[:8] for step in run.steps if step.name == "price"]

    assert run.replay(shop, edit=dict.fromkeys(steps, 9)).value == "tea 9 milk 9 7"


def test_of_many_that_a_name_may_mean_some_are_told_and_how_many_more_there_are(store: Path) -> None:
    shop(" ".join(f"tea{number}" for number in range(40)))

    with pytest.raises(becausal.ReplayError, match=r"may mean 40 steps(.|\n)* and 28 more$"):
        becausal.last_run().replay(shop, edit={"price": 9})


def test_of_a_name_that_nothing_has_it_is_told_which_names_there_are(run: Run) -> None:
    with pytest.raises(becausal.ReplayError, match=r"'prize' addresses nothing.*is called .*price, stock"):
        run.replay(shop, edit={"prize": 9})


def test_what_is_no_step_is_refused(run: Run) -> None:
    with pytest.raises(
        becausal.ReplayError, match="an edit of 7 addresses nothing: give a step, its id or its name"
    ):
        run.replay(shop, edit=becausal.edit(7).to(9))


def test_a_key_of_memory_means_every_read_of_it_also_where_its_steps_share_a_name(store: Path) -> None:
    def twice() -> str:
        memory = becausal.Memory("plan")
        with becausal.chain("read twice") as turn:
            told = f"{memory.read('plan')} {memory.read('plan')}"
            turn.returned(told)
            return told

    becausal.Memory("plan").write("plan", "tea")
    twice()

    output = becausal.last_run().replay(twice, edit={"plan": "milk"}).run.output

    assert output is not None
    assert output.value() == "milk milk"


def test_the_command_refuses_a_name_that_may_mean_several_with_2(
    run: Run, store: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    becausal.flush()
    edit = store.parent / "edit.json"
    edit.write_text(json.dumps({"price": 9}))
    monkeypatch.chdir(store.parent)
    (store.parent / "shop_by_name.py").write_text("def shop(items): ...\n")

    asked = ["replay", run.chain_id, "--store", str(store), "--app", "shop_by_name:shop", "--edit", str(edit)]
    assert main(asked) == 2

    told = capsys.readouterr().err
    assert "may mean 2 steps" in told
    assert "Traceback" not in told
