"""The promise: a recorded run is a test on every machine, whatever key the markers of its secrets are made under."""

from __future__ import annotations

import contextvars
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import becausal
from becausal import semconv
from becausal.answers.comparison.counterparts import Counterparts, keys_of
from becausal.doctor import Check, diagnose
from becausal.doctor.redacting import look_at_redaction
from becausal.redaction.marker import Marking
from becausal.regression import Replayed, replayed

ANN, BOB = "Tr0ub4dor-3", "Wint3r-Coming"


class Login:
    """An app that brings its own secrets, and gets one from a tool."""

    def __init__(self, *passwords: str, limit: int = 3) -> None:
        self.passwords, self.limit = passwords, limit

    def __call__(self, request: str) -> str:
        @becausal.tool(name="enter")
        def enter(user: str, password: str, limit: int) -> dict[str, str]:
            return {"session_token": f"9a8b7c6d5e4f-{user}"}

        with becausal.chain(request) as chain:
            tokens = []
            for name, password in zip(("ann", "bob", "carl"), self.passwords, strict=False):
                asked = {"user": name, "password": password, "limit": self.limit}
                with becausal.agent("clerk", received={"log in": asked}) as clerk:
                    tokens.append(enter(**asked)["session_token"])  # type: ignore[arg-type]
                    clerk.returned({"with": asked, "token": tokens[-1]})
            text = (
                f"{len(tokens)} logged in, {self.limit} times; the passwords were {', '.join(self.passwords)}"
            )
            chain.returned(text)
            return text


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Replayed]]:
    """Record one app here, and replay another from the cassette where there is another key."""

    def play(
        recorded: Callable[[Any], object], app: Callable[[Any], object], key: str = "", there: str = ""
    ) -> Replayed:
        monkeypatch.setenv("BECAUSAL_REDACTION_KEY", key)
        becausal.instrument("threads", store=tmp_path / "here" / "runs.db")
        recorded("log in")
        path = becausal.last_run().export(tmp_path / "login.becausal")
        becausal.uninstrument()
        monkeypatch.setenv("BECAUSAL_REDACTION_KEY", there)
        becausal.instrument("threads", store=tmp_path / "there" / "runs.db")
        return replayed(path, app)

    yield play
    becausal.uninstrument()


def test_a_run_with_secrets_is_reproduced_under_another_key(elsewhere: Callable[..., Replayed]) -> None:
    played = elsewhere(Login(ANN, BOB, ANN), Login(ANN, BOB, ANN))

    played.reproduces()
    assert [finding.kind for finding in played.run.findings] == [
        finding.kind for finding in played.replay.of.findings
    ]


def test_a_run_is_reproduced_where_the_secrets_themselves_are_others(
    elsewhere: Callable[..., Replayed],
) -> None:
    elsewhere(Login(ANN, BOB, ANN), Login("Ot-her1", "An0ther-One", "Ot-her1")).reproduces()


@pytest.mark.parametrize("others", [(ANN, BOB, BOB), (ANN, ANN, ANN)])
def test_two_secrets_stay_two_and_one_stays_one(
    elsewhere: Callable[..., Replayed], others: tuple[str, ...]
) -> None:
    played = elsewhere(Login(ANN, BOB, ANN), Login(*others))

    with pytest.raises(AssertionError):
        played.reproduces()


def test_what_else_differs_is_told_and_the_secrets_are_not(elsewhere: Callable[..., Replayed]) -> None:
    played = elsewhere(Login(ANN, BOB), Login(ANN, BOB, limit=4))

    with pytest.raises(AssertionError) as caught:
        played.reproduces()

    (changed,) = [line for line in str(caught.value).splitlines() if line.startswith("    changed")]
    assert changed == "    changed $.limit: 3 -> 4"


def test_under_one_key_another_secret_is_another(elsewhere: Callable[..., Replayed]) -> None:
    elsewhere(Login(ANN), Login(BOB), key="one", there="one").diverges()


class Outliving:
    """An app of which a step goes on when its run has ended, and meets the only secret."""

    def __init__(self, password: str) -> None:
        self.password = password

    def __call__(self, request: str) -> str:
        @becausal.tool(name="audit")
        def audit(password: str) -> str:
            return "noted"

        with becausal.chain(request) as chain:
            context = contextvars.copy_context()
            chain.returned("ok")
        context.run(audit, self.password)
        return "ok"


def test_under_one_key_another_secret_of_a_step_that_outlived_its_run_is_another(
    elsewhere: Callable[..., Replayed],
) -> None:
    elsewhere(Outliving(ANN), Outliving(BOB), key="one", there="one").diverges()


def test_under_another_key_a_secret_of_a_step_that_outlived_its_run_is_reproduced(
    elsewhere: Callable[..., Replayed],
) -> None:
    elsewhere(Outliving(ANN), Outliving(BOB), key="one", there="another").reproduces()


def test_a_record_that_does_not_say_its_key_is_taken_at_its_word(elsewhere: Callable[..., Replayed]) -> None:
    here = frozenset({"01234567"})
    assert not Counterparts((), lambda: here).are_apart

    run = elsewhere(Login(ANN), Login(ANN), key="one", there="another").replay.of
    assert Counterparts(run.steps, lambda: here).are_apart
    assert not Counterparts(run.steps, lambda: frozenset()).are_apart


def test_a_run_says_its_key_wherever_it_was_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BECAUSAL_REDACTION_KEY", "one")
    key = Marking(None, {"BECAUSAL_REDACTION_KEY": "one"}).key_id
    becausal.instrument("threads", store=tmp_path / "runs.db")
    try:
        with becausal.chain("log in", received={"password": ANN}):
            becausal.flush()  # all there is where a process is killed now
            assert keys_of(becausal.last_run().steps) == {key}
            with becausal.agent("clerk", received={"password": ANN}):
                pass
            becausal.flush()
            assert key in [
                step.attributes.get(semconv.REDACTION_KEY)
                for step in becausal.last_run().steps
                if step.status == "ok"
            ]
    finally:
        becausal.uninstrument()


def test_under_one_key_the_same_secrets_are_the_same(elsewhere: Callable[..., Replayed]) -> None:
    elsewhere(Login(ANN, BOB, ANN), Login(ANN, BOB, ANN), key="one", there="one").reproduces()


def test_what_stands_for_a_vendors_key_in_ci_need_not_look_like_one(
    elsewhere: Callable[..., Replayed],
) -> None:
    real = "sk-proj-" + "Ab3dEf6hIj9LmNoPqRs2" * 3
    played = elsewhere(Login(real, ANN, real), Login("only-here-1", ANN, "only-here-1"))

    assert "[redacted:openai_key:" in str(played.replay.of.output and played.replay.of.output.text())
    played.reproduces()


def test_the_cassette_says_which_key_it_was_and_nothing_of_it(elsewhere: Callable[..., Replayed]) -> None:
    run = elsewhere(Login(ANN), Login(ANN), key="a key that is nowhere else").replay.of

    (root,) = [step for step in run.steps if step.parent_id is None]
    marking = Marking(None, {"BECAUSAL_REDACTION_KEY": "a key that is nowhere else"})
    assert root.attributes[semconv.REDACTION_KEY] == marking.key_id
    assert "nowhere else" not in repr(run.steps)


def test_the_variable_can_carry_the_key_of_a_file(tmp_path: Path) -> None:
    made = Marking(tmp_path, {})
    marker = made.marker("password", ANN.encode())
    said = (tmp_path / "redaction.key").read_text()

    for text in (said, f"{said}\n", said.upper()):
        carried = Marking(None, {"BECAUSAL_REDACTION_KEY": text})
        assert carried.marker("password", ANN.encode()) == marker
        assert carried.key_id == made.key_id


def examined(store: Path) -> dict[str, str]:
    found = diagnose(store, checks=(Check("privacy", look_at_redaction),))
    return {line.says: line.grade for line in found.sections[0].lines}


def test_the_doctor_says_which_key_is_in_use_and_whether_the_runs_is_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("BECAUSAL_REDACTION_KEY", raising=False)
    store, file = tmp_path / "runs.db", tmp_path / "redaction.key"
    another = (
        "the newest run's secrets were marked under another key than the one here: one secret has two markers"
    )
    assert f"no secret was met here: the first one makes {file}, the key of the markers" in examined(store)

    becausal.instrument("threads", store=store)
    Login(ANN)("log in")
    becausal.uninstrument()
    here = examined(store)
    monkeypatch.setenv("BECAUSAL_REDACTION_KEY", file.read_text())
    carried = examined(store)
    monkeypatch.setenv("BECAUSAL_REDACTION_KEY", "too short")
    there = examined(store)

    assert here[f"secrets are marked under the key in {file}"] == "well"
    assert carried["secrets are marked under the key in BECAUSAL_REDACTION_KEY"] == "well"
    assert another not in {**here, **carried}
    assert there[another] == "advice"
    short = "BECAUSAL_REDACTION_KEY is short: who guesses it can guess at secrets by their markers"
    assert there[short] == "advice"
    assert file.read_text() not in repr([here, carried, there])


def test_a_key_that_cannot_be_read_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BECAUSAL_REDACTION_KEY", raising=False)
    (tmp_path / "redaction.key").write_text("half a ke")

    said = examined(tmp_path / "runs.db")

    (told,) = [line for line, grade in said.items() if grade == "trouble"]
    assert "holds no key: each process marks secrets under one of its own" in told


class Hand:
    """An app that hands a secret of one tool to another."""

    def __init__(self, taken: int) -> None:
        self.taken = taken

    def __call__(self, request: str) -> str:
        @becausal.tool(name="fetch")
        def fetch(user: str) -> dict[str, str]:
            return {"password": {"ann": ANN, "bob": BOB}[user]}

        @becausal.tool(name="enter")
        def enter(password: str, own: dict[str, str]) -> str:
            return "in"

        with becausal.chain(request) as chain:
            said = [fetch("ann")["password"], fetch("bob")["password"]]
            enter(said[self.taken], {"password": "my-0wn-one"})
            chain.returned("done")
            return "done"


def test_of_two_secrets_that_the_record_gives_the_other_one_is_another(
    elsewhere: Callable[..., Replayed],
) -> None:
    elsewhere(Hand(0), Hand(0)).reproduces()


def heard(taken: str | None, by: str) -> Callable[[Any], str]:
    """Return an app that gets a secret, with its request or from a tool, and sends that one, or one of its own."""

    @becausal.tool(name="enter")
    def enter(user: str, password: str) -> str:
        return "in"

    @becausal.tool(name="fetch")
    def fetch(user: str) -> dict[str, str]:
        return {"password": BOB}

    def app(request: dict[str, str]) -> str:
        given = {"password": BOB} if request == "log in" else request  # type: ignore[comparison-overlap]
        asked = {"user": "bob"} if by == "a tool" else given
        block = (
            becausal.agent("clerk", received=asked)
            if by == "an agent"
            else becausal.chain("r", received=asked)
        )
        with block as step:
            got = fetch("bob") if by == "a tool" else asked
            answer = enter("bob", taken or got["password"])
            step.returned(answer)
            return answer

    return app


@pytest.mark.parametrize("by", ["a request", "an agent", "a tool"])
def test_an_app_that_does_not_send_the_secret_that_it_was_given_fails(
    elsewhere: Callable[..., Replayed], by: str
) -> None:
    played = elsewhere(heard(None, by), heard("hard-coded-77", by), key="one", there="another")

    assert "it sends a secret of its own where the recorded one had been given to it" in str(
        played.replay.divergence
    )
    assert not played.replay.reproduced


@pytest.mark.parametrize("by", ["a request", "an agent", "a tool"])
def test_an_app_that_sends_the_secret_that_it_was_given_passes(
    elsewhere: Callable[..., Replayed], by: str
) -> None:
    elsewhere(heard(None, by), heard(None, by), key="one", there="another").reproduces()


def test_an_app_that_is_told_its_own_secret_again_passes(elsewhere: Callable[..., Replayed]) -> None:
    def app(request: str) -> str:
        @becausal.tool(name="enter")
        def enter(user: str, password: str) -> dict[str, str]:
            return {"user": user, "password": password}

        with becausal.chain(request) as chain:
            enter("ann", ANN)
            chain.returned(enter("again", ANN)["user"])
            return "in"

    elsewhere(app, app, key="one", there="another").reproduces()


def test_of_two_secrets_that_the_record_gives_one_cannot_stand_for_the_other(
    elsewhere: Callable[..., Replayed],
) -> None:
    elsewhere(Hand(0), Hand(1)).diverges()
