"""One line hooks everything, says plainly what it cannot, and can be taken back without a trace."""

from __future__ import annotations

import importlib
import json
import os
import string
import subprocess
import sys
import textwrap
import threading
import types
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from packaging.specifiers import SpecifierSet

import becausal
from becausal.adapter import Hooks, adapters, in_range
from becausal.errors import AdapterError, BecausalWarning, SettingsError, StoreError
from becausal.instrument import active_recorder, hooks_report, store_url_in_use
from becausal.recorder import Observation, Opening, Recorder
from becausal.store import open_store
from becausal_integrations.patch import observe

# `becausal.instrument` is the function; this is where it stands.
module = importlib.import_module("becausal.instrument")


class Fake:
    """An adapter for `fake:run`, whose distribution and place may be there or not."""

    def __init__(
        self,
        watches: str | None = "pytest",
        supports: str = "",
        requires: tuple[str, ...] = (),
        error: Exception | None = None,
    ) -> None:
        self.watches, self.supports, self.requires, self.error = watches, supports, requires, error
        self.arrives_with: tuple[str, ...] = ()
        self.installed = 0

    def install(self, recorder: Recorder, hooks: Hooks) -> None:
        observe(recorder, hooks, "fake:run", Observation(lambda *_: Opening("agent", "run")))
        observe(recorder, hooks, "fake:gone", Observation(lambda *_: None))
        if self.error is not None:
            raise self.error
        self.installed += 1


@pytest.fixture(autouse=True)
def _clean() -> Iterator[None]:
    yield
    becausal.uninstrument()


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module that the fake adapter hooks."""

    def run() -> str:
        return "ran"

    made: Any = types.ModuleType("fake")
    made.run = run
    monkeypatch.setitem(sys.modules, "fake", made)
    return made


def known(monkeypatch: pytest.MonkeyPatch, **fakes: Fake) -> None:
    monkeypatch.setattr(module, "adapters", lambda: fakes)


# What is hooked


def test_calling_it_again_adds_what_is_not_hooked_and_hooks_nothing_twice(
    monkeypatch: pytest.MonkeyPatch, store: str, fake: Any
) -> None:
    one, two = Fake(), Fake()
    known(monkeypatch, one=one, two=two)
    becausal.instrument("one", store=store)
    recorder, hook = active_recorder(), fake.run
    becausal.instrument("one")
    assert fake.run is hook
    becausal.instrument()

    assert active_recorder() is recorder
    assert (one.installed, two.installed) == (1, 1)


def test_the_one_line_hooks_all_that_is_installed_and_passes_over_the_rest(
    monkeypatch: pytest.MonkeyPatch, store: str, fake: Any
) -> None:
    there, absent = Fake(), Fake(watches="no-such-distribution")
    known(monkeypatch, there=there, absent=absent)
    becausal.instrument(store=store)

    assert (there.installed, absent.installed) == (1, 0)
    assert fake.run() == "ran"
    assert {report.name: (report.version is None, len(report.hooks)) for report in hooks_report()} == {
        "there": (False, 2),
        "absent": (True, 0),
    }


def test_what_an_adapter_stands_on_is_hooked_first(
    monkeypatch: pytest.MonkeyPatch, store: str, fake: Any
) -> None:
    known(
        monkeypatch,
        top=Fake(requires=("middle",)),
        middle=Fake(requires=("ground",)),
        ground=Fake(),
        unasked=Fake(),
        always=Fake(watches=None),
    )
    becausal.instrument("top", store=store)

    assert list(module._active.hooks) == ["always", "ground", "middle", "top"]


def test_the_adapters_of_this_distribution_are_found() -> None:
    assert {"autogen", "langchain", "langgraph", "threads"} <= set(adapters())


def test_an_adapter_that_cannot_be_loaded_is_warned_of_and_left_out(
    monkeypatch: pytest.MonkeyPatch, store: str, tmp_path: Path
) -> None:
    folder = tmp_path / "theirs-1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1.0\n")
    (folder / "entry_points.txt").write_text("[becausal.adapters]\nbroken = broken_package:Adapter\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.warns(
        BecausalWarning, match=r"'broken' \(broken_package:Adapter\) cannot be loaded"
    ) as warned:
        becausal.instrument("threads", store=store)

    assert warned[0].filename == __file__


def test_of_two_distributions_of_one_name_the_first_on_the_path_says_what_its_adapters_are(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    said = {
        "1.0": "one = string:Formatter\ngone = gone_package:Adapter\n",
        "2.0": "one = string:Template.mro\n",
    }
    for version, points in said.items():
        folder = tmp_path / version / f"the_irs-{version}.dist-info"
        folder.mkdir(parents=True)
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: the-irs\nVersion: {version}\n")
        (folder / "entry_points.txt").write_text(f"[becausal.adapters]\n{points}")
        monkeypatch.syspath_prepend(str(folder.parent))

    found: dict[str, Any] = {**adapters()}  # a warning would be an error

    assert found["one"] == string.Template.mro()
    assert "gone" not in found


NUMBERS = st.lists(st.integers(0, 3), min_size=1, max_size=4).map(lambda release: ".".join(map(str, release)))
ENDS = st.sampled_from(["", "", "", "rc1", "b2", ".dev3", ".post1", "+cpu", "a"])


@given(NUMBERS, ENDS, NUMBERS, NUMBERS, ENDS)
def test_what_an_adapter_supports_is_read_as_packaging_reads_it(
    numbers: str, end: str, least: str, beyond: str, end_of_beyond: str
) -> None:
    version, supports = numbers + end, f">={least},<{beyond}{end_of_beyond.replace('+cpu', '')}"
    expected = SpecifierSet(supports).contains(version, prereleases=True)

    assert in_range(version, supports) == expected


# What is refused


def test_an_unknown_name_is_refused_and_told_what_there_is(store: str) -> None:
    with pytest.raises(
        AdapterError,
        match="no adapter is called 'langraph'; there are: agent_framework, autogen, celery, langchain",
    ):
        becausal.instrument("langraph", store=store)

    assert active_recorder() is None
    assert not Path(store.removeprefix("sqlite:///")).exists()


def test_a_framework_that_is_not_installed_is_refused_and_told_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch, store: str
) -> None:
    known(monkeypatch, crew=Fake(watches="no-such-distribution"))
    with pytest.raises(
        AdapterError, match=r"no-such-distribution is not installed.*pip install 'becausal\[crew\]'"
    ):
        becausal.instrument("crew", store=store)


def test_a_version_out_of_range_is_warned_of_and_left_alone(
    monkeypatch: pytest.MonkeyPatch, store: str, fake: Any
) -> None:
    known(monkeypatch, old=Fake(supports="<2"))
    before = fake.run
    with pytest.warns(
        BecausalWarning, match="outside the range .* left alone, unless it is named: 'old'"
    ) as warned:
        becausal.instrument(store=store)

    assert warned[0].filename == __file__
    (report,) = hooks_report()
    assert (report.is_supported, report.hooks) == (False, ())
    assert fake.run is before


def test_a_version_out_of_range_is_hooked_where_it_fits_if_it_is_named(
    monkeypatch: pytest.MonkeyPatch, store: str, fake: Any, caplog: pytest.LogCaptureFixture
) -> None:
    known(monkeypatch, old=Fake(supports="<2"))
    with pytest.warns(BecausalWarning, match="left alone"):
        becausal.instrument(store=store)
    with pytest.warns(BecausalWarning, match="what still fits is recorded"):
        becausal.instrument("old")

    (report,) = hooks_report()
    assert [(hook.place, hook.state) for hook in report.hooks] == [
        ("fake:run", "hooked"),
        ("fake:gone", "gone"),
    ]
    assert "has no fake:gone" in caplog.text


@pytest.mark.parametrize("setting", [{"level": "some"}, {"capture": "all"}])
def test_a_setting_that_does_not_exist_is_refused(setting: dict[str, str], store: str) -> None:
    with pytest.raises(SettingsError, match="does not exist; use one of: full, "):
        becausal.instrument(store=store, **setting)  # type: ignore[arg-type]

    assert active_recorder() is None


def test_an_adapter_that_fails_is_an_error_by_name_and_nothing_stays_behind(
    monkeypatch: pytest.MonkeyPatch, store: str, fake: Any
) -> None:
    original = fake.run
    known(monkeypatch, bad=Fake(error=ValueError("odd version")))
    with pytest.raises(ValueError, match="odd version"):
        becausal.instrument("bad", store=store)

    assert fake.run is original
    assert active_recorder() is None


def test_an_adapter_that_was_found_by_itself_and_fails_is_passed_over(
    monkeypatch: pytest.MonkeyPatch, store: str, fake: Any, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv("BECAUSAL_STRICT")
    good = Fake()
    known(monkeypatch, bad=Fake(error=ValueError("odd version")), good=good)
    becausal.instrument(store=store)

    assert good.installed == 1
    assert "odd version" in caplog.text


# Stores


@pytest.fixture
def blocked(tmp_path: Path) -> Path:
    """A path that cannot be made, not even by root: its directory is a file."""
    (tmp_path / "file").write_text("")
    return tmp_path / "file" / "runs.db"


def test_a_named_store_that_cannot_be_used_is_an_error(blocked: Path) -> None:
    with pytest.raises(StoreError, match="is a file, not a directory; choose another path"):
        becausal.instrument(store=blocked)

    assert active_recorder() is None


@pytest.mark.parametrize("source", ["environment", "default"])
def test_another_store_that_cannot_be_used_is_warned_of_and_spans_are_made(
    source: str, blocked: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if source == "environment":
        monkeypatch.setenv("BECAUSAL_STORE", str(blocked))
    else:
        monkeypatch.delenv("BECAUSAL_STORE", raising=False)
        monkeypatch.chdir(blocked.parent.parent)
        Path(".becausal").write_text("in the way")
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))

    with pytest.warns(BecausalWarning, match="becausal makes spans and keeps no runs") as warned:
        becausal.instrument("threads", tracer_provider=provider)
    with becausal.agent("a") as turn:
        turn.returned(1)

    assert warned[0].filename == __file__
    assert becausal.flush()
    assert [span.name for span in exporter.get_finished_spans()] == ["invoke_agent a"]


def test_the_store_in_use_is_known_while_and_after_it_is(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    becausal.instrument("threads", store=store)
    assert store_url_in_use() == store
    becausal.uninstrument()
    monkeypatch.setenv("BECAUSAL_STORE", "elsewhere.db")

    assert store_url_in_use() == store


def test_a_store_is_named_by_a_path_too(tmp_path: Path) -> None:
    becausal.instrument("threads", store=tmp_path / "runs.db")
    with becausal.agent("a"):
        pass
    becausal.uninstrument()

    assert len(open_store(str(tmp_path / "runs.db"), read_only=True).chains()) == 1


# Other settings


def test_other_settings_while_it_works_are_warned_of(store: str, tmp_path: Path) -> None:
    provider = TracerProvider()
    becausal.instrument("threads", store=store, tracer_provider=provider)

    others: list[dict[str, Any]] = [
        {"store": tmp_path / "other.db"},
        {"level": "boundaries"},
        {"capture": "digest"},
        {"tracer_provider": TracerProvider()},
    ]
    for other in others:
        with pytest.warns(BecausalWarning, match="call becausal.uninstrument") as warned:
            becausal.instrument("threads", **other)
        assert warned[0].filename == __file__
    assert not (tmp_path / "other.db").exists()


def test_the_same_settings_again_are_no_reason_to_warn(
    store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BECAUSAL_STORE", store)
    becausal.instrument("threads")
    becausal.instrument("threads", store=store)
    becausal.instrument("threads", level="full")
    becausal.uninstrument()
    becausal.instrument("threads", store=tmp_path / "named.db", level="boundaries")
    becausal.instrument("threads", level="boundaries")


# Taking it back


def test_taking_it_back_restores_every_hooked_attribute(store: str) -> None:
    before = {
        "start": vars(threading.Thread)["start"],
        "submit": vars(ThreadPoolExecutor)["submit"],
    }
    becausal.instrument("threads", store=store)
    assert vars(threading.Thread)["start"] is not before["start"]
    becausal.uninstrument()
    becausal.uninstrument()

    assert vars(threading.Thread)["start"] is before["start"]
    assert vars(ThreadPoolExecutor)["submit"] is before["submit"]
    assert active_recorder() is None


def test_a_later_wrapper_is_left_alone_and_we_fall_silent_under_it(
    monkeypatch: pytest.MonkeyPatch, store: str, fake: Any
) -> None:
    known(monkeypatch, one=Fake())
    becausal.instrument(store=store)
    ours = fake.run

    def later() -> str:
        return f"later {ours()}"

    fake.run = later
    becausal.uninstrument()

    assert fake.run is later
    assert fake.run() == "later ran"
    assert open_store(store, read_only=True).chains() == []


def test_it_can_be_put_on_again(monkeypatch: pytest.MonkeyPatch, store: str, fake: Any) -> None:
    known(monkeypatch, one=Fake())
    for _ in range(2):
        becausal.instrument(store=store)
        fake.run()
        becausal.uninstrument()

    assert len(open_store(store, read_only=True).chains()) == 2


def test_a_module_that_comes_after_it_was_taken_back_is_not_hooked(
    monkeypatch: pytest.MonkeyPatch, store: str, tmp_path: Path
) -> None:
    known(monkeypatch, one=Fake())
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "fake.py").write_text("def run(): return 'ran'")
    monkeypatch.delitem(sys.modules, "fake", raising=False)
    becausal.instrument(store=store)
    becausal.uninstrument()
    import fake  # type: ignore[import-not-found]

    assert not hasattr(fake.run, "__wrapped__")
    monkeypatch.delitem(sys.modules, "fake")


# What an import costs


def python(code: str, **environ: str) -> Any:
    """Run a script; returns the JSON that it prints, having said nothing on stderr."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(code)],
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


FRAMEWORKS = (
    "langchain",
    "langgraph",
    "autogen",
    "opentelemetry.sdk",
    "pydantic",
    "numpy",
    "rich",
    "sqlite3",
)


def test_importing_and_asking_who_is_there_imports_no_framework() -> None:
    loaded = python(
        """
        import json, sys, becausal
        from becausal.instrument import hooks_report
        hooks_report()
        print(json.dumps(sorted(sys.modules)))
        """
    )

    assert [name for name in loaded if name.startswith(FRAMEWORKS)] == []


def test_instrumenting_imports_no_framework(tmp_path: Path) -> None:
    loaded = python(
        """
        import json, sys, becausal
        becausal.instrument()
        print(json.dumps(sorted(sys.modules)))
        """,
        BECAUSAL_STORE=str(tmp_path / "runs.db"),
    )

    assert [name for name in loaded if name.startswith(FRAMEWORKS[:-1])] == []


def test_looking_at_runs_leaves_the_functions_in_their_places(store: str) -> None:
    becausal.instrument("threads", store=store)
    with becausal.agent("a"):
        pass
    becausal.last_run()
    importlib.import_module("becausal.handoff")

    for name in becausal.__all__:
        assert not isinstance(getattr(becausal, name), types.ModuleType), name
