"""What a secret looks like: one table of kinds.

The table is ours. `detect-secrets` 1.5 reads lines of source files with some twenty-five plugins of `re` patterns
(milliseconds a line) and `presidio` and `scrubadub` stand on language models: all three look for what might be, where
becausal must know in two microseconds a kilobyte on the app's own thread. Facts, not code, are taken from where each
kind says; where a vendor publishes no form, it is that of the keys that its console gave out.

Every pattern has one group, named as the kind, around what is secret: what stands before it is kept for the reader.
Patterns are written in what RE2 and `re` both read, ASCII only, with no repetition inside another.
"""

# A pattern that is broken over lines is harder to read than a long line.
# ruff: noqa: E501

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from becausal.redaction.cards import RUN, TELLING, cards_in
from becausal.redaction.keys import WORDS, is_placeholder, kind_of_key, looks_secret

__all__ = ["IBAN", "KINDS", "Kind"]

ENOUGH = 20
"""Signs behind a vendor's prefix that make it worth looking more closely."""

Check = Callable[[bytes, bytes], "Sequence[tuple[int, int]]"]
"""Takes the 48 bytes before and all that the group holds; returns where in it secrets stand, in order."""


def _whole(_: bytes, found: bytes) -> Sequence[tuple[int, int]]:
    return [(0, len(found))]


class Kind(NamedTuple):
    """One kind of secret."""

    name: str
    """As its marker and the counts say it."""
    pattern: str
    """With one group, of the kind's name."""
    source: str
    check: Check = _whole
    kind_of: Callable[[bytes], str] | None = None
    """Tells the kind from the 48 bytes before; None: it is the pattern's own."""
    remembered: bool = False
    """Whether it is known by what stands around it alone, so that a bare copy has to be remembered."""

    telling: str | None = None
    """What every match holds, where that is a simpler pattern: one that may begin anywhere keeps the automaton busy."""

    signs: tuple[str, ...] | None = None
    """Of these one stands in every match, for `becausal.redaction.screen`: what stands in front of a sign (as wide in
    every case), the sign itself between `<` and `>`, and what stands behind it; None: its sieve is as good."""
    folded: bool = False
    """Whether its signs are those of bytes in small letters, every digit a nought."""
    is_named: bool = False
    """Whether it stands behind a name of `becausal.redaction.keys`, which is its sign."""

    @property
    def sieve(self) -> str:
        """What finds each body that may hold it, without what is asked of the bytes around: they may be no text."""
        if self.telling is not None:
            return self.telling
        bare = re.sub(r"\(\?P<\w+>", "(?:", self.pattern).replace(r"\b", "")
        # Of what is repeated at an end the least is enough, and of that some: an automaton that counts to 64 has as
        # many states, and takes as long to be made.
        return re.sub(
            r"\{(\d+)(?:,\d*)?\}(?=\)*(?:\||$))", lambda end: f"{{{min(int(end[1]), ENOUGH)}}}", bare
        )


def _mixed(_: bytes, found: bytes) -> Sequence[tuple[int, int]]:
    """A token, not words joined by hyphens: it has a digit."""
    return [(0, len(found))] if re.search(rb"[0-9]", found) and re.search(rb"[A-Za-z]", found) else ()


def _basic(_: bytes, found: bytes) -> Sequence[tuple[int, int]]:
    try:
        return [(0, len(found))] if b":" in base64.b64decode(found + b"=" * (-len(found) % 4)) else ()
    except (binascii.Error, ValueError):
        return ()


def _card(_: bytes, found: bytes) -> Sequence[tuple[int, int]]:
    return cards_in(found)


def _given(before: bytes, found: bytes) -> Sequence[tuple[int, int]]:
    """What is assigned to a name in a text: `PASSWORD=…`, `"api_key": "…"`."""
    value = found.decode("latin-1")
    kind = kind_of_key(_name(before))
    if kind is None or is_placeholder(value):
        return ()
    if not kind[1]:
        return [(0, len(found))] if looks_secret(value) else ()
    # Prose goes on after a colon: "password: must have eight letters".
    quoted = before.endswith((b'"', b"'", b"="))
    return [(0, len(found))] if quoted or not re.fullmatch(r"[A-Za-z]?[a-z]*[.!?]?", value) else ()


def _name(before: bytes) -> str:
    """Return the name in front of a value: `api_key` of `OPENAI_API_KEY = "`."""
    found = re.search(_NAMED, before.decode("latin-1"))  # compiled by the first, in few processes
    return found[1] if found is not None else ""


def kind_given(before: bytes) -> str:
    """Return the kind of what a name in front of it calls secret."""
    found = kind_of_key(_name(before))
    return "secret" if found is None else found[0]


_NAMED = r"([\w.-]*(?: key| token| code)?)[\"'\\]*[ \t]*[:=]?>?[ \t]*[bur]?[\"'\\]*$"


def _told(_: bytes, found: bytes) -> Sequence[tuple[int, int]]:
    """What a sentence says a password is; not that it `is required`."""
    bare = found.rstrip(b".!?")
    return (
        [(0, len(bare))]
        if re.search(rb"[0-9]|[^\w-]|[a-z][A-Z]", bare) and not is_placeholder(bare.decode("latin-1"))
        else ()
    )


def _password(_: bytes, found: bytes) -> Sequence[tuple[int, int]]:
    return () if is_placeholder(found.decode("latin-1")) else [(0, len(found))]


KINDS: Final = (
    Kind("private_key", r"(?P<private_key>-----BEGIN [A-Z0-9 ]{0,20}PRIVATE KEY(?: BLOCK)?-----(?:[A-Za-z0-9+/=\t\n\f\r \\:,.%]|-[^-])+(?:-----END [A-Z0-9 ]{0,20}PRIVATE KEY(?: BLOCK)?-----)?)", "RFC 7468, RFC 4880 section 6.2", signs=(r"<->----BEGIN [A-Z0-9 ]{0,20}PRIVATE KEY",)),
    Kind("aws_key", r"\b(?P<aws_key>(?:AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{16})\b", "IAM user guide, 'Unique identifiers'", signs=(r"<A>(?:KIA|SIA|BIA|CCA)[A-Z2-7]{16}",)),
    Kind("anthropic_key", r"\b(?P<anthropic_key>sk-ant-[A-Za-z0-9_-]{20,})", "keys of console.anthropic.com", signs=(r"sk<->ant-[A-Za-z0-9_-]{20}",)),
    Kind("openai_key", r"\b(?P<openai_key>sk-[A-Za-z0-9_-]{20,})", "keys of platform.openai.com: sk-, sk-proj-, sk-svcacct-, sk-admin-; others took the form over", _mixed, signs=(r"sk<->[A-Za-z0-9_-]{20}",)),
    Kind("github_token", r"\b(?P<github_token>gh[opusr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{22,})", "GitHub docs, 'Token formats'", signs=(r"gh[opusr]<_>[A-Za-z0-9]{36}", r"github<_>pat_[A-Za-z0-9_]{22}")),
    Kind("gitlab_token", r"\b(?P<gitlab_token>gl(?:pat|dt|rt|cbt|ptt|ft|soat|agent|imt)-[A-Za-z0-9_-]{20,})", "GitLab docs, 'Token prefixes'", signs=(r"glpat<->[A-Za-z0-9_-]{20}", r"gl[drf]t<->[A-Za-z0-9_-]{20}", r"glcbt<->[A-Za-z0-9_-]{20}", r"glptt<->[A-Za-z0-9_-]{20}", r"glsoat<->[A-Za-z0-9_-]{20}", r"glagent<->[A-Za-z0-9_-]{20}", r"glimt<->[A-Za-z0-9_-]{20}")),
    Kind("slack_token", r"\b(?P<slack_token>xox[abeoprs]-[A-Za-z0-9-]{10,}|xapp-[0-9]-[A-Z0-9]+-[0-9]+-[a-z0-9]{20,})", "Slack docs, 'Token types'", _mixed, signs=(r"xox[abeoprs]<->[A-Za-z0-9-]{10}", r"xapp<->[0-9]-[A-Z0-9]")),
    Kind("webhook", r"(?P<webhook>hooks\.slack\.com/(?:services|workflows|triggers)/[A-Za-z0-9/]{30,}|discord(?:app)?\.com/api/webhooks/[0-9]{15,}/[A-Za-z0-9_-]{60,})", "Slack docs, 'Incoming webhooks'; Discord docs, 'Webhook'", signs=(r"hooks<.>slack\.com/", r"<.>com/api/webhooks/")),
    Kind("google_key", r"\b(?P<google_key>AIza[A-Za-z0-9_-]{35}|GOCSPX-[A-Za-z0-9_-]{28}|ya29\.[A-Za-z0-9_-]{20,})", "Google Cloud docs, 'API keys'; detect by prefix as GitHub's secret scanning lists", signs=(r"<A>Iza[A-Za-z0-9_-]{35}", r"GOCSPX<->[A-Za-z0-9_-]{28}", r"ya29<.>[A-Za-z0-9_-]{20}")),
    Kind("stripe_key", r"\b(?P<stripe_key>(?:sk|rk)_(?:live|test)_[A-Za-z0-9]{16,}|whsec_[A-Za-z0-9+/=]{24,})", "Stripe docs, 'API keys', 'Webhook signatures'", signs=(r"[sr]k<_>(?:live|test)_[A-Za-z0-9]{16}", r"whsec<_>[A-Za-z0-9+/=]{24}")),
    Kind("azure_key", r"(?P<azure_key>\b[A-Za-z0-9_~.-]{3}[0-9]Q~[A-Za-z0-9_~.-]{31,34})", "client secrets of Entra ID", telling="[0-9]Q~[A-Za-z0-9_~.-]{31}", signs=(r"[0-9]Q<~>[A-Za-z0-9_~.-]{31}",)),
    Kind("azure_signature", r"(?i:[?&]sig=)(?P<azure_signature>[A-Za-z0-9%+/]{40,}=?)", "Azure docs, 'Service SAS'", remembered=True, signs=(r"[?&]sig<=>[a-z0%+/]{40}",), folded=True),
    Kind("huggingface_token", r"\b(?P<huggingface_token>hf_[A-Za-z0-9]{30,}|api_org_[A-Za-z0-9]{34})", "tokens of huggingface.co", signs=(r"hf<_>[A-Za-z0-9]{30}", r"api<_>org_[A-Za-z0-9]{34}")),
    Kind("npm_token", r"\b(?P<npm_token>npm_[A-Za-z0-9]{36})", "npm blog, 'new access token format'", signs=(r"npm<_>[A-Za-z0-9]{36}",)),
    Kind("pypi_token", r"(?P<pypi_token>pypi-Ag[A-Za-z0-9_-]{50,})", "PyPI help, 'API tokens'", signs=(r"pypi<->Ag[A-Za-z0-9_-]{50}",)),
    Kind("vendor_key", r"\b(?P<vendor_key>SG\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}|SK[0-9a-f]{32}|[0-9]{8,10}:AA[A-Za-z0-9_-]{33}|do[opr]_v1_[a-f0-9]{64}|dapi[a-f0-9]{32}|shp(?:at|ca|pa|ss)_[a-fA-F0-9]{32}|lsv2_(?:pt|sk)_[a-f0-9]{32}_[a-f0-9]{10}|sk-lf-[a-f0-9-]{36}|gsk_[A-Za-z0-9]{40,}|r8_[A-Za-z0-9]{37}|pplx-[A-Za-z0-9]{40,}|xai-[A-Za-z0-9]{60,}|tvly-[A-Za-z0-9-]{28,}|hvs\.[A-Za-z0-9_-]{24,}|glsa_[A-Za-z0-9_]{32,}|dckr_pat_[A-Za-z0-9_-]{27}|key-[a-f0-9]{32}|ntn_[A-Za-z0-9]{40,}|lin_api_[A-Za-z0-9]{40})", "SendGrid, Twilio, Telegram, DigitalOcean, Databricks, Shopify, LangSmith, Langfuse, Groq, Replicate, Perplexity, xAI, Tavily, Vault, Grafana, Docker, Mailgun, Notion, Linear: GitHub docs, 'Supported secret scanning patterns'", _mixed, signs=(r"SG<.>[A-Za-z0-9_-]{22}\.", r"<SK>[0-9a-f]{32}", r"[0-9]<:>AA[A-Za-z0-9_-]{33}", r"do[opr]<_>v1_[a-f0-9]{64}", r"<dapi>[a-f0-9]{32}", r"shp[acps][ats]<_>[a-fA-F0-9]{32}", r"lsv2<_>[ps][tk]_[a-f0-9]{32}", r"sk<->lf-[a-f0-9-]{36}", r"gsk<_>[A-Za-z0-9]{40}", r"r8<_>[A-Za-z0-9]{37}", r"pplx<->[A-Za-z0-9]{40}", r"xai<->[A-Za-z0-9]{60}", r"tvly<->[A-Za-z0-9-]{28}", r"hvs<.>[A-Za-z0-9_-]{24}", r"glsa<_>[A-Za-z0-9_]{32}", r"dckr<_>pat_[A-Za-z0-9_-]{27}", r"key<->[a-f0-9]{32}", r"ntn<_>[A-Za-z0-9]{40}", r"lin<_>api_[A-Za-z0-9]{40}")),
    Kind("jwt", r"\b(?P<jwt>eyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*)", "RFC 7519, RFC 7515 section 3", signs=(r"<.>eyJ[A-Za-z0-9_-]{8}",)),
    Kind("bearer", r"(?i:\bbearer)[ \t]{1,4}(?P<bearer>[A-Za-z0-9._~+/-]{8,}=*)", "RFC 6750 section 2.1", _mixed, remembered=True, signs=(r"<bearer>[ \t]{1,4}[a-z0._~+/-]{8}",), folded=True),
    Kind("basic_auth", r"(?i:\bbasic)[ \t]{1,4}(?P<basic_auth>[A-Za-z0-9+/]{8,}=*)", "RFC 7617", _basic, remembered=True, signs=(r"<basic>[ \t]{1,4}[a-z0+/]{8}",), folded=True),
    Kind("url_password", r"(?:://|(?i:(?::|%3a)%2f%2f))[^\t\n\f\r /:@\"'<>]{0,100}?(?::|%3[aA])(?P<url_password>[^\t\n\f\r /@\"'<>]{1,200}?)(?:@|%40)", "RFC 3986 section 3.2.1", _password, lambda _: "password", remembered=True, telling=r"(?:://|%2[fF]%2[fF])[^\t\n\f\r /:@\"'<>]*(?::|%3[aA])[^\t\n\f\r /@\"'<>]+(?:@|%40)", signs=(r"<:>//[^\t\n\f\r /:@\"'<>]{0,100}(?::|%3[aA])[^\t\n\f\r /@\"'<>]{1,200}(?:@|%40)", r"<%>2[fF]%2[fF][^\t\n\f\r /:@\"'<>]{0,100}(?::|%3[aA])[^\t\n\f\r /@\"'<>]{1,200}(?:@|%40)")),
    Kind("quoted", rf"(?i:{WORDS})\\{{0,4}}[\"'][ \t]{{0,3}}[:=]>?[ \t]{{0,3}}[bur]?\\{{0,4}}[\"'](?P<quoted>[^\"'\\\n]{{1,}})", "names of `becausal.redaction.keys`, quoted", _given, kind_given, remembered=True, signs=(), is_named=True),
    Kind("assigned", rf"(?i:{WORDS})[ \t]{{0,2}}[:=][ \t]{{0,2}}(?:[bur]?[\"'])?(?P<assigned>[^\t\n\f\r \"'\\,;&<>(){{}}\[\]|]{{4,}})", "names of `becausal.redaction.keys`", _given, kind_given, remembered=True, signs=(), is_named=True),
    Kind("told", r"(?i:\b(?:password|passphrase|passcode|api[ -]key|secret key|access token)[ ]{1,3}(?:is|was|are|will be)[ :]{1,3})[\"'`]?(?P<told>[^\t\n\f\r \"'`]{4,})", "sentences", _told, lambda _: "password", remembered=True, signs=(), is_named=True),
    Kind("card", rf"\b(?P<card>{RUN})\b", "`becausal.redaction.cards`", _card, telling=TELLING, signs=()),
)  # fmt: skip
"""In the order in which they are tried at one place of a text."""

IBAN: Final = Kind("iban", r"\b(?P<iban>[A-Z]{2}[0-9]{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,4})?)\b", "ISO 13616", lambda _, found: _iban(found))  # fmt: skip
"""Only on demand: an account that is to be paid is what many apps are about."""


def _iban(found: bytes) -> Sequence[tuple[int, int]]:
    text = found.replace(b" ", b"").decode()
    if not 15 <= len(text) <= 34:
        return ()
    number = "".join(str(int(sign, 36)) for sign in text[4:] + text[:4])
    return [(0, len(found))] if int(number) % 97 == 1 else ()
