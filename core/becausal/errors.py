"""Every error and warning that becausal raises; one that carries a result stands beside what it is raised for.

Each also derives from the builtin that a caller would catch anyway, and its text says what to do.
"""

from __future__ import annotations

__all__ = [
    "AdapterError",
    "BecausalError",
    "BecausalWarning",
    "CassetteError",
    "ContractError",
    "DamagedContentError",
    "EnvelopeError",
    "ImportFormatError",
    "MemoryConflictError",
    "MemoryKeyError",
    "MemoryValueError",
    "ReplayError",
    "RunNotFoundError",
    "SettingsError",
    "StepNotFoundError",
    "StoreError",
    "StoreFormatError",
]


class BecausalError(Exception):
    """Anything that becausal itself refuses to do."""


class AdapterError(BecausalError, LookupError):
    """A framework that was asked for by name cannot be instrumented."""


class SettingsError(BecausalError, ValueError):
    """An argument or an environment variable has a value that means nothing."""


class StoreError(BecausalError, OSError):
    """A store cannot be opened, read or written."""


class StoreFormatError(StoreError):
    """A store file is damaged, no store of ours, or of a newer format than this becausal reads."""


class DamagedContentError(StoreFormatError, ValueError):
    """A content in a store is not what was written; everything beside it may well be whole."""


class CassetteError(StoreFormatError):
    """A cassette is damaged, cut off, none at all, or of a newer format; or it does not go with what is there."""


class ReplayError(BecausalError, ValueError):
    """A run cannot be replayed as it was asked; says what is missing. Nothing has run."""


class RunNotFoundError(BecausalError, LookupError):
    """No run, or more than one, answers to a chain id or a prefix of one."""


class StepNotFoundError(BecausalError, LookupError):
    """No step, or more than one, of a run answers to an id or to the beginning of one."""


class EnvelopeError(BecausalError, ValueError):
    """What `receive` was given is no envelope that `handoff` made."""


class ImportFormatError(BecausalError, ValueError):
    """A file is no trace or log that can be read: damaged, too large, or of a form that is not known."""


class ContractError(BecausalError, ValueError):
    """A contract asks for what cannot be checked."""


class MemoryConflictError(BecausalError, RuntimeError):
    """Somebody else has written a memory's key since its writer looked."""


class MemoryKeyError(BecausalError, LookupError):
    """A memory's key, or a version of it, has no value."""


class MemoryValueError(BecausalError, ValueError):
    """What a memory was given cannot be kept."""


class BecausalWarning(UserWarning):
    """Something could not be set up as asked; the app goes on without it."""
