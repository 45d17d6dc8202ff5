"""The coverage-guided engine: atheris, which is libFuzzer for Python. A process of its own, since it never returns."""

from __future__ import annotations

import sys


def main() -> None:
    """Play a target: `python -m tests.fuzz.guided TARGET FOLDERS… -libFuzzer=options`."""
    import atheris  # type: ignore[import-not-found,import-untyped,unused-ignore]

    # Before becausal is imported: its bytecode is made to tell what was reached.
    with atheris.instrument_imports(include=["becausal"]):
        from tests.fuzz.targets import TARGETS
    atheris.Setup([sys.argv[0], *sys.argv[2:]], TARGETS[sys.argv[1]])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
