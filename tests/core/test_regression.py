"""The promise: a recorded run is a test in one line, and when it fails its message says what to look at."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import becausal
from becausal import semconv
from becausal.cli import main
from becausal.errors import CassetteError, ReplayError
from becausal.regression import Replayed, replayed
from becausal.regression.written import write
from becausal.replay.edit import edit
from becausal.run import Run

RUFF = shutil.which("ruff", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))


class Shop:
    """An app whose tool has an answer of its own in each version."""

    def __init__(self, stock: int = 3, ask: str = "tea", words: str = "left") -> None:
        self.stock, self.ask, self.words = stock, ask, words
        self.asked = 0

    def __call__(self, request: str) -> str:
        @becausal.tool(name="stock")
        def stock(item: str) -> list[int]:
            self.asked += 1
            return [self.stock] if self.stock else []

        with becausal.chain(request) as chain:
            with becausal.agent("clerk", received=request) as clerk:
                found = stock(self.ask)
                clerk.returned(found)
            text = f"There are {sum(found)} packets of {self.ask}\n{self.words}."
            chain.returned(text)
            return text


@pytest.fixture
def taped(store: str, tmp_path: Path) -> Iterator[Callable[[Shop], Path]]:
    """Record an app into a cassette."""

    def tape(shop: Shop) -> Path:
        becausal.instrument("threads", store=store)
        shop("How much tea is there?")
        path = becausal.last_run().export(tmp_path / "tea.becausal")
        becausal.uninstrument()
        return path

    yield tape
    becausal.uninstrument()


def failure(ask: Callable[[], object]) -> str:
    with pytest.raises(AssertionError) as caught:
        ask()
    return str(caught.value)


def test_an_unchanged_app_reproduces_its_run_without_its_tools(taped: Callable[[Shop], Path]) -> None:
    path, shop = taped(Shop()), Shop(stock=99)

    played = replayed(path, shop)

    played.reproduces().reproduces(exactly=True).still_says("3 packets of tea left").has_no()
    played.no_longer_says("99").has_no("tool.empty", "tool.failed")
    assert shop.asked == 0
    assert isinstance(played, Replayed)
    assert "reproduced" in repr(played)


def test_what_the_app_says_otherwise_is_shown_beside_what_was_recorded(taped: Callable[[Shop], Path]) -> None:
    played = replayed(taped(Shop()), Shop(words="in stock"))

    told = failure(played.reproduces)

    assert told.startswith("The replay of tea.becausal differs from the record:")
    assert "recorded:\n    There are 3 packets of tea\n    left." in told
    assert "now:\n    There are 3 packets of tea\n    in stock." in told
    assert "still_says" not in told
    assert "'packets left'. The replay of tea.becausal gave:" in failure(
        lambda: played.still_says("packets left")
    )
    assert "still says 'tea  in stock'" in failure(lambda: played.no_longer_says("tea  in stock"))


def test_a_call_that_the_record_does_not_know_is_shown_with_what_was_asked(
    taped: Callable[[Shop], Path],
) -> None:
    played = replayed(taped(Shop()), Shop(ask="coffee"))

    told = failure(played.reproduces)

    assert told.startswith("The replay of tea.becausal left the record:\n    tool 'stock'")
    assert "'tea' -> 'coffee'" in told
    assert "recorded:\n    item: tea" in told
    assert "asked now:\n    item: coffee" in told
    assert "live=[" in told
    # Nothing else is known of it, so nothing else passes.
    assert failure(lambda: played.still_says("packets")) == told
    assert failure(lambda: played.has_no("tool.empty")) == told
    assert failure(lambda: played.no_longer_says("never said")) == told
    played.diverges()


def test_a_replay_that_kept_to_the_record_did_not_diverge(taped: Callable[[Shop], Path]) -> None:
    played = replayed(taped(Shop()), Shop())

    assert "kept to the record" in failure(played.diverges)


def test_findings_are_asked_for_by_kind_and_a_kind_that_there_is_not_is_an_error(
    taped: Callable[[Shop], Path],
) -> None:
    played = replayed(taped(Shop(stock=0)), Shop())

    played.has("tool.empty").has_no("tool.failed")
    assert "tool.empty (" in failure(lambda: played.has_no("tool.empty"))
    assert "tool.empty (" in failure(played.has_no)
    assert "has no finding 'tool.failed'; it has:\n    tool.empty" in failure(
        lambda: played.has("tool.failed")
    )
    for ask in (played.has, played.has_no):
        with pytest.raises(ValueError, match=r"of the kind 'tool\.emty'; there are: handoff"):
            ask("tool.emty")


def test_what_is_changed_before_is_passed_on(taped: Callable[[Shop], Path]) -> None:
    path = taped(Shop(stock=0))
    step = next(step for step in becausal.open(path).last().steps if step.kind == "tool")

    played = replayed(path, Shop(), edit=edit(step.id).to([5]))

    played.has_no("tool.empty").still_says("5 packets of tea")


def test_a_cassette_that_is_not_there_is_no_failed_test_but_an_error(tmp_path: Path) -> None:
    with pytest.raises(CassetteError, match="does not exist"):
        replayed(tmp_path / "none.becausal", Shop())


def remembering(request: str) -> str:
    memory = becausal.Memory("prices")
    with becausal.chain(request) as chain:
        memory.write("coffee", memory.read("tea") + 1)
        text = f"Tea is {memory.read('tea')}, coffee {memory.read('coffee')}."
        chain.returned(text)
        return text


def test_a_memory_is_as_it_was_and_stays_as_it_is_on_a_machine_that_has_neither(
    store: str, tmp_path: Path
) -> None:
    becausal.Memory("prices", store=store).write("tea", 4)
    becausal.instrument("threads", store=store)
    remembering("What does it cost?")
    path = becausal.last_run().export(tmp_path / "prices.becausal")
    becausal.uninstrument()
    elsewhere = f"sqlite:///{tmp_path / 'elsewhere.db'}"
    becausal.Memory("prices", store=elsewhere).write("tea", 1000)

    becausal.instrument("threads", store=elsewhere)
    replayed(path, remembering).reproduces().still_says("Tea is 4, coffee 5.")
    becausal.uninstrument()

    assert [event.key for event in becausal.open(elsewhere).store.memory_events("prices")] == ["tea"]


# The fixture, in pytests of their own

APP = """
import becausal

@becausal.tool(name="stock")
def stock(item):
    raise SystemExit("the tool was really run")

def shop(request):
    with becausal.chain(request) as chain:
        found = stock("tea")
        chain.returned(f"There are {len(found)} packets.")

def record(path):
    global stock
    stock = becausal.tool(name="stock")(lambda item: [])
    becausal.instrument("threads", store=path + ".db")
    shop("How much tea is there?")
    becausal.last_run().export(path)
    becausal.uninstrument()
"""

TESTS = """
import socket
from shop_app import shop

def test_passes(replay):
    replay("tea.becausal", shop).reproduces().still_says("0 packets").has("tool.empty")

def test_by_name(replay):
    replay("tea.becausal", "shop_app:shop").reproduces()

def test_fails(replay):
    replay("tea.becausal", shop).has_no("tool.empty")

def test_network_is_shut(replay):
    def reaching(request):
        socket.create_connection(("192.0.2.1", 80))
    replay("tea.becausal", reaching).reproduces()
"""


def environment() -> dict[str, str]:
    paths = os.pathsep.join(filter(None, sys.path))
    return {
        name: value
        for name, value in {**os.environ, "PYTHONPATH": paths}.items()
        if name != "BECAUSAL_STORE" and not name.startswith("PYTEST_")
    }


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project of somebody else's, with a recorded run among its tests."""
    folder = tmp_path / "project"
    (folder / "tests").mkdir(parents=True)
    (folder / "tests" / "shop_app.py").write_text(APP)
    (folder / "tests" / "test_shop.py").write_text(TESTS)
    code = "import sys; sys.path.insert(0, 'tests'); import shop_app; shop_app.record('tests/tea.becausal')"
    subprocess.run([sys.executable, "-c", code], cwd=folder, env=environment(), check=True)
    (folder / "tests" / "tea.becausal.db").unlink()
    return folder


def pytest_in(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments]
    return subprocess.Popen(command, cwd=folder, env=environment(), stdout=subprocess.PIPE, text=True)


def test_the_fixture_finds_the_cassette_beside_the_test_and_touches_no_store(project: Path) -> None:
    before = sorted(path.name for path in project.rglob("*") if "__pycache__" not in path.parts)

    runs = [pytest_in(project, "tests"), pytest_in(project / "tests")]  # two at a time, as pytest-xdist does
    outputs = [run.communicate(timeout=120)[0] for run in runs]

    for output in outputs:
        assert "2 failed, 2 passed" in output, output
        assert "AssertionError: The replay of tea.becausal has:" in output
        assert "tool.empty (" in output
        assert "the app reached for the network" in output
        assert "regression/__init__.py" not in output  # the frames that matter are the test's
    assert sorted(path.name for path in project.rglob("*") if "__pycache__" not in path.parts) == before


def test_a_test_written_from_a_run_runs(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cassette, made = str(project / "tests" / "tea.becausal"), project / "tests" / "test_no_tea.py"

    assert main(["test", cassette, "-o", str(made), "--app", "shop_app:shop"]) == 0

    assert "test_no_tea_is_reproduced, test_no_tea_goes_well" in capsys.readouterr().out
    output = pytest_in(project, "tests/test_no_tea.py").communicate(timeout=120)[0]
    assert "1 passed, 1 xfailed" in output, output
    assert main(["test", cassette, "-o", str(made), "--app", "shop_app:shop"]) == 2
    assert "is there already" in capsys.readouterr().err


def test_a_test_of_a_good_run_has_nothing_to_mend(taped: Callable[[Shop], Path], tmp_path: Path) -> None:
    path = tmp_path / "test_tea_party.py"

    written = write(becausal.open(taped(Shop())).last(), path, "shop.apps:graphs.tea")

    source = path.read_text()
    assert written.functions == ("test_tea_party_is_reproduced",)
    assert written.cassette == tmp_path / "tea_party.becausal"
    assert "from shop.apps import graphs\n" in source
    assert 'replay("tea_party.becausal", graphs.tea).reproduces()' in source
    assert "xfail" not in source
    assert {file.stat().st_mode & 0o777 for file in (path, written.cassette)} == {0o600}
    compile(source, str(path), "exec")


@pytest.mark.parametrize("app", ["graph", "a.b", "os:system('x')", "a:b; import os", "a:", ":b", "a:class"])
def test_an_app_that_is_no_name_becomes_no_code(
    taped: Callable[[Shop], Path], tmp_path: Path, app: str
) -> None:
    run = becausal.open(taped(Shop())).last()

    with pytest.raises(ReplayError, match="module:name"):
        write(run, tmp_path / "test_x.py", app)

    assert not (tmp_path / "test_x.py").exists()


def test_nothing_that_a_run_says_becomes_code(taped: Callable[[Shop], Path], tmp_path: Path) -> None:
    run = becausal.open(taped(Shop())).last()
    run.steps[0].attributes[semconv.PACKAGES] = ('x"""\nimport os\nos.abort()\n"""', "a\\")  # type: ignore[index]

    write(run, tmp_path / "test_x.py", "a:b")

    source = (tmp_path / "test_x.py").read_text()
    assert source.count('"""') == 2
    assert "with ximport osos.abort, a." in " ".join(source.split())


@pytest.mark.skipif(RUFF is None, reason="ruff is not installed")
def test_a_written_test_stands_as_a_formatter_would_have_it(
    taped: Callable[[Shop], Path], tmp_path: Path
) -> None:
    assert RUFF is not None
    empty = becausal.open(taped(Shop(0))).last()
    packages = tuple(f"package-{number}==1.{number}.0" for number in range(12))
    empty.steps[0].attributes[semconv.PACKAGES] = packages  # type: ignore[index]

    write(empty, tmp_path / "test_no_tea.py", "shop.apps:graphs.tea")

    source = (tmp_path / "test_no_tea.py").read_text()
    assert "has_no(" in source
    assert max(map(len, source.splitlines())) <= 88
    for rule in (["format", "--check"], ["check"]):
        done = subprocess.run(
            [RUFF, *rule, "--isolated", str(tmp_path / "test_no_tea.py")], capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_a_test_is_written_to_a_python_file_alone(taped: Callable[[Shop], Path], tmp_path: Path) -> None:
    run: Run = becausal.open(taped(Shop())).last()

    with pytest.raises(ReplayError, match=r"test_refund\.py"):
        write(run, tmp_path / "test_x.txt", "a:b")
