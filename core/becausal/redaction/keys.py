"""Names that say what stands under them is secret.

A name counts by its last words (`db_password`, `x-api-key`, `clientSecret`), so `max_tokens`, `token_usage` and
`password_policy` do not. Names that are often used for something harmless as well count only where the value looks like
a secret: the `token` of a tokenizer is a word.
"""

from __future__ import annotations

import functools
import re
from typing import Final

from becausal.redaction.marker import MARKER

__all__ = ["HEADS", "STRONG", "TRAIL", "WEAK", "WORDS", "kind_of_key", "looks_secret", "worth_remembering"]

_ONE: Final = {
    "password": "password",
    "passwd": "password",
    "passphrase": "password",
    "passcode": "password",
    "pwd": "password",
    "api_key": "api_key",
    "apikey": "api_key",
    "access_key": "api_key",
    "account_key": "api_key",
    "secret_key": "api_key",
    "secret_access_key": "api_key",
    "signing_key": "api_key",
    "encryption_key": "api_key",
    "subscription_key": "api_key",
    "private_key": "private_key",
    "secret": "secret",
    "secret_value": "secret",
    "client_secret": "secret",
    "access_token": "token",
    "refresh_token": "token",
    "auth_token": "token",
    "bearer_token": "token",
    "session_token": "token",
    "id_token": "token",
    "api_token": "token",
    "authorization": "authorization",
    "cookie": "cookie",
    "cvv": "card_code",
    "cvc": "card_code",
    "card_number": "card",
}

OFTEN_HARMLESS: Final = ("secret", "cookie")
"""Of several of them a text speaks often: `Secrets: how to bake cookies`."""

STRONG: Final = _ONE | {f"{name}s": kind for name, kind in _ONE.items() if name not in OFTEN_HARMLESS}
"""By the last words of a name: what stands under it, whatever it looks like."""

WEAK: Final = {
    "token": "token",
    "auth": "authorization",
    "credential": "secret",
    "credentials": "secret",
    "pin": "password",
    "jwt": "token",
    "session_id": "token",
    "connection_string": "secret",
    "sas": "token",
    **{f"{name}s": _ONE[name] for name in OFTEN_HARMLESS},
}
"""By the last words of a name: what may stand under it."""

TRAIL: Final = r"[ -/:-@\[-`{-~]{0,3}"
"""What may stand behind the last word of a name: `password:`, `(password)`, `api key *`."""

HEADS: Final = r"[\x81-\x8f\xa1-\xbf\x91-\x9f\xc4-\xc9\xcc-\xdf]"
"""How a value may begin that stands under a name in a packed body."""

PAGING: Final = (
    "page",
    "continuation",
    "sync",
    "next",
    "delta",
    "eos",
    "bos",
    "pad",
    "unk",
    "mask",
    "sep",
    "stop",
)
"""Words before `token` that make it a place in a list, or a word of a tokenizer."""

WORDS: Final = "|".join(
    sorted((name.replace("_", "[ _.-]?") for name in (*STRONG, *WEAK)), key=len, reverse=True)
)
"""The same names as a pattern, however their words are joined."""

_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_JOINT = re.compile(r"[^a-z0-9]+")
_kinds: dict[str, tuple[str, bool] | None] = {}
_MOST_KINDS = 4096


def kind_of_key(key: str) -> tuple[str, bool] | None:
    """Return what stands under a name, and whether it is secret whatever it looks like; None: nothing secret."""
    if key in _kinds:
        return _kinds[key]
    if len(_kinds) >= _MOST_KINDS:
        _kinds.clear()
    found = _kinds[key] = _judged(key) if len(key) <= 128 else None
    return found


def _judged(key: str) -> tuple[str, bool] | None:
    words = [word for word in _JOINT.split(_CAMEL.sub("_", key).lower()) if word]
    if words and words[-1] == "token" and len(words) > 1 and words[-2] in PAGING:
        return None
    for length in (3, 2, 1):
        last = "_".join(words[-length:])
        if last in STRONG:
            return STRONG[last], True
        if last in WEAK:
            return WEAK[last], False
    joined = "".join(words)  # APIKEY, PassWord
    return (STRONG[joined], True) if joined in STRONG else None


@functools.cache
def _placeholder() -> re.Pattern[str]:
    """Return what a placeholder looks like; compiled for the first value that may be secret."""
    return re.compile(
        r"(?i)(?:none|null|nil|true|false|str|string|secretstr|text|example|changeme|hidden|required|optional|redacted|masked"
        r"|[*•x.\-_ ]*|<[a-z][a-z _-]*>|\$?\{\{?[ \w.]*\}?\}|\$[A-Za-z_]+|%\(?[a-z_]*\)?s?|~?(?:/[a-z][a-z0-9_.-]*)+/?"
        r"|your[ _-](?:[a-z]+[ _-]){0,3}(?:key|token|password|passphrase|secret|credentials?)(?:[ _-]here)?"
        r"|\[redacted:withheld\])"
    )


def is_placeholder(value: str) -> bool:
    """Return whether a value only stands for a secret that is not there."""
    return _placeholder().fullmatch(value) is not None or MARKER.fullmatch(value) is not None


def looks_secret(value: str) -> bool:
    """Return whether a value looks made by chance: sixteen signs or more without a space, letters and digits mixed."""
    return (
        len(value) >= 16
        and not re.search(r"\s", value)
        and bool(re.search(r"[0-9]", value))
        and bool(re.search(r"[A-Za-z]", value))
    )


_MARKED = " ".join(f"[redacted:{kind}:" for kind in sorted({*STRONG.values(), *WEAK.values()}))


def worth_remembering(value: str) -> bool:
    """Return whether a secret can be looked for elsewhere: short ones and plain words would blank what is none."""
    if value in _MARKED:  # it would be found in every marker
        return False
    if len(value) < 6 or value.isdigit():
        return len(value) >= 9
    if re.fullmatch(r"[a-z]+|[A-Z]+|[A-Z][a-z]+", value):
        return len(value) >= 12
    return len(value) >= 8 or bool(re.search(r"[0-9\W_]", value))
