"""What strangers and chance may send, by the thousand: `python -m tests.fuzz TARGET`.

    python -m tests.fuzz canonical --engine atheris --seconds 300    # led by what of the code is reached
    python -m tests.fuzz facts --engine hypothesis --cases 20000     # by chance, and made small where wrong
    python -m tests.fuzz receiver --cases 10000 --seed 1             # mutations of what is valid

A target of `tests.fuzz.targets` takes bytes, makes a value of them and holds a law against it; hypothesis and atheris
(coverage-guided, libFuzzer) both play it. What they found is kept in `tests/fuzz/corpus/TARGET`, which the tests play.
"""

# Nothing of becausal is imported here: the coverage-guided engine has to see its modules first.
