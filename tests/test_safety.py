"""The promise: no line of the library can run what it reads, from a store, a file, a header or a model."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MODULES = sorted((*(ROOT / "core").rglob("*.py"), *(ROOT / "integrations").rglob("*.py")))

UNSAFE_MODULES = frozenset(
    {
        "pickle",
        "cPickle",
        "dill",
        "cloudpickle",
        "joblib",
        "marshal",
        "shelve",
        "jsonpickle",
        "code",
        "codeop",
        "pty",
    }
)
"""What makes objects, or runs code, out of bytes."""

RUNNING = frozenset({"eval", "exec", "compile", "execfile", "__import__", "breakpoint", "input"})
"""Builtins that run what they are given, or stop the app."""

UNSAFE_CALLS = {
    "yaml.load": "yaml.safe_load",
    "yaml.unsafe_load": "yaml.safe_load",
    "os.system": "no shell",
    "os.popen": "no shell",
    "subprocess.getoutput": "no shell",
    "subprocess.getstatusoutput": "no shell",
    "tempfile.mktemp": "mkstemp",
    "random.seed": "a generator of our own: the app's must not be touched",
    "numpy.load": "it unpickles",
    "xml.etree.ElementTree.parse": "entities",
    "ctypes.CDLL": "no foreign code",
}

IMPORTING_BY_NAME = {
    "core/becausal/__init__.py": "the names in its own table",
    "core/becausal/adapter.py": "entry points of installed packages",
    "core/becausal/callback.py": "entry points of installed packages",
    "core/becausal/cli/__init__.py": "modules of a table",
    "core/becausal/doctor/hooking.py": "the places that installed adapters name",
    "core/becausal/facts/language.py": "modules of a table",
    "core/becausal/instrument.py": "a constant",
    "core/becausal/replay/app.py": "the app that a user names on the command line",
    "core/becausal/replay/rebuild.py": "the module `builtins`",
    "core/becausal/standin.py": "what Python's own copy and pickle of a function name, if an app uses them",
    "integrations/becausal_integrations/autogen/protobuf.py": "a constant",
    "integrations/becausal_integrations/langchain/replay.py": "constants",
    "integrations/becausal_integrations/langgraph/replay.py": "constants",
}
"""Where a module is imported whose name is no literal, and where the name comes from: never from what was recorded."""


NETWORK = {
    *("aiohttp", "ftplib", "grpc", "http", "httpx", "requests", "smtplib", "socket", "ssl", "urllib3"),
    *("clickhouse_connect", "uvicorn", "websockets"),
}
"""What reaches other machines."""

TALKING = {
    "core/becausal/serve/": "the receiver, and what it forwards where its user says",
    "core/becausal/store/postgres/": "the store that a user names",
    "core/becausal/sink/": "the ClickHouse that a user names",
    "core/becausal/replay/network.py": "refuses connections while a run is replayed",
    "core/becausal/web.py": "puts our headers on the app's own requests",
}
"""Where they may be named, by how the module's name begins."""


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def source_of(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def dotted(node: ast.expr) -> str:
    """Return a name as it is written: `os.path.join`; empty for what is no name."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return ".".join([node.id, *reversed(parts)]) if isinstance(node, ast.Name) else ""


def wrong_with(source: str, name: str = "") -> Iterator[str]:
    """Yield what a module does that could run what it reads, with the line."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [a.name for a in node.names]
            yield from (f"{node.lineno}: imports {n}" for n in names if n.partition(".")[0] in UNSAFE_MODULES)
        elif isinstance(node, ast.Call):
            called = dotted(node.func)
            if called in RUNNING and not (called == "__import__" and name in IMPORTING_BY_NAME):
                yield f"{node.lineno}: calls {called}"
            if called in UNSAFE_CALLS:
                yield f"{node.lineno}: calls {called}; {UNSAFE_CALLS[called]}"
            if any(word.arg == "shell" and not is_false(word.value) for word in node.keywords):
                yield f"{node.lineno}: gives a command to a shell"
            if called.startswith("subprocess.") or called in ("os.execv", "os.spawnv", "os.posix_spawn"):
                yield f"{node.lineno}: starts a program"
            by_name = called.endswith(("import_module", "EntryPoint.load")) and node.args
            if by_name and not isinstance(node.args[0], ast.Constant) and name not in IMPORTING_BY_NAME:
                yield f"{node.lineno}: imports a module whose name is no constant"
        elif isinstance(node, ast.Assert) and not narrows(node):
            yield f"{node.lineno}: checks by assert, which `python -O` leaves out: raise an error"


def is_false(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is False


def narrows(node: ast.Assert) -> bool:
    """Say whether an assertion only tells a type checker what is known: `x is not None`, `isinstance(x, C)`."""
    test = node.test
    parts = test.values if isinstance(test, ast.BoolOp) else [test]
    return node.msg is None and all(
        (
            isinstance(part, ast.Compare)
            and isinstance(part.ops[0], ast.IsNot)
            and is_none(part.comparators[0])
        )
        or (isinstance(part, ast.Call) and dotted(part.func) == "isinstance")
        for part in parts
    )


def is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def test_no_module_runs_what_it_reads() -> None:
    wrong = {name_of(path): list(wrong_with(source_of(path), name_of(path))) for path in MODULES}

    assert {name: lines for name, lines in wrong.items() if lines} == {}
    assert len(wrong) > 300


def test_nothing_talks_to_other_machines_but_what_a_user_asked_to() -> None:
    talking = set()
    for path in MODULES:
        for node in ast.walk(ast.parse(source_of(path))):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if any(name.partition(".")[0] in NETWORK or name == "urllib.request" for name in names):
                talking.add(name_of(path))

    assert {name for name in talking if not name.startswith(tuple(TALKING))} == set()


@pytest.mark.parametrize(
    "source",
    [
        *(
            "import pickle",
            "from pickle import loads",
            "import marshal",
            "eval(x)",
            "exec(x)",
            "yaml.load(x)",
        ),
        *(
            "os.system(x)",
            "subprocess.run(x, shell=True)",
            "subprocess.run([x])",
            "importlib.import_module(x)",
        ),
        *("__import__(x)", "assert x > 1", "assert x, 'empty'", "compile(x, '', 'exec')", "import_module(x)"),
    ],
)
def test_what_is_unsafe_is_seen(source: str) -> None:
    assert list(wrong_with(source)) != []


@pytest.mark.parametrize("source", ["re.compile(x)", "assert x is not None", "assert isinstance(x, int)"])
def test_what_is_safe_is_let_pass(source: str) -> None:
    assert list(wrong_with(source)) == []


def test_every_exception_of_the_rule_is_still_needed() -> None:
    """A name that is a constant by now, or a module that is gone, must not keep its exception."""
    needed = set()
    for path in MODULES:
        for node in ast.walk(ast.parse(source_of(path))):
            if isinstance(node, ast.Call) and (
                dotted(node.func).endswith("import_module")
                or dotted(node.func) == "__import__"
                or (isinstance(node.func, ast.Attribute) and node.func.attr == "load" and not node.args)
            ):
                needed.add(name_of(path))
    assert set(IMPORTING_BY_NAME) <= needed


def test_the_receiver_listens_on_this_machine_alone_unless_it_is_told_otherwise() -> None:
    pytest.importorskip("uvicorn")
    from becausal.serve import running

    hosts = [
        parameter.default
        for function in vars(running).values()
        if inspect.isfunction(function)
        for parameter in inspect.signature(function).parameters.values()
        if parameter.name == "host" and parameter.default is not inspect.Parameter.empty
    ]
    assert hosts
    assert set(hosts) == {"127.0.0.1"}
