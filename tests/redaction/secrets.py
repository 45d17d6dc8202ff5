"""Secrets that look real, by kind, and what looks like one and is none. None of them was ever valid.

They are put together from pieces, so that the scanners of whoever hosts this file do not take them for leaks.
"""

from __future__ import annotations

_HEX = "9f86d081884c7d659a2feaa0c55ad015"
_ALNUM = "Zq7Lk2Vx9Rt4Bn6Ms1Wd3Yc8Hf5Gj0PuTe"
_BASE = "a3B4c5D6e7F8g9H0i1J2k3L4m5N6o7P8q9R0s1T2u3V4w5X6y7Z8"

PEM = "\n".join(
    [
        "-----BEGIN RSA " + "PRIVATE KEY-----",
        "MIIEowIBAAKCAQEAx9fQ" + _BASE,
        _BASE + "==",
        "-----END RSA PRIVATE KEY-----",
    ]
)

SECRETS: dict[str, list[str]] = {
    "private_key": [PEM, PEM.replace("RSA ", ""), PEM.replace("\n", "\\n"), PEM[:90]],
    "aws_key": ["AKIA" + "Z7QXK2LMVN4RTBW6", "ASIA" + "Y5PLJ3WQHR2DMNC7"],
    "anthropic_key": ["sk-ant-" + "api03-" + _BASE],
    "openai_key": ["sk-" + _BASE[:48], "sk-proj-" + _BASE + "_" + _ALNUM, "sk-svcacct-" + _ALNUM],
    "github_token": ["ghp_" + _ALNUM + "ab", "github_pat_" + "11ABCDEFG0" + _BASE, "ghs_" + _ALNUM + "zz"],
    "gitlab_token": ["glpat-" + _ALNUM[:20], "gldt-" + _ALNUM[:24]],
    "slack_token": ["xoxb-" + "2154987630-" + _ALNUM[:24], "xapp-" + "1-A02ABCDEF-2154987630-" + _HEX],
    "webhook": ["hooks.slack.com/services/" + "T024BE7LD/B024BE7LE/" + _ALNUM[:24]],
    "google_key": ["AIza" + "SyD-9tSrke72PouQMnMX-a7eZSW0jkFMBWY"[:35], "GOCSPX-" + _ALNUM[:28]],
    "stripe_key": ["sk_live_" + _ALNUM[:24], "rk_test_" + _ALNUM, "whsec_" + _ALNUM[:32]],
    "azure_key": ["abc8Q~" + _ALNUM[:32]],
    "huggingface_token": ["hf_" + _ALNUM[:34]],
    "npm_token": ["npm_" + _ALNUM + "a1"],
    "pypi_token": ["pypi-" + "AgEIcHlwaS5vcmcCJ" + _BASE],
    "vendor_key": [
        "SG." + _ALNUM[:22] + "." + (_ALNUM + _ALNUM)[:43],
        "SK" + _HEX,
        "dapi" + _HEX,
        "lsv2_pt_" + _HEX + "_" + _HEX[:10],
        "gsk_" + _BASE,
        "hvs." + _ALNUM,
        "7364528190:AA" + _ALNUM[:33],
    ],
    "jwt": [
        "eyJ"
        + "hbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9P",
        "eyJ" + "hbGciOiJub25lIn0.eyJzdWIiOiJ1c2VyIn0.",
    ],
    "card": [
        "4111" + "111111111111",
        "5555 5555" + " 5555 4444",
        "3782-822463" + "-10005",
        "6011" + "000990139424",
        "3566 0020" + " 2036 0505",
        "2223 0031" + " 2200 3222",
    ],
}
"""Each alone in a text, and found there by its own form."""

IN_CONTEXT: dict[str, list[tuple[str, str]]] = {
    "bearer": [
        ("Authorization: Bearer {}", "mF_9.B5f-4.1JqM"),
        ("curl -H 'authorization: bearer {}'", _ALNUM),
    ],
    "basic_auth": [("Authorization: Basic {}", "QWxhZGRpbjpvcGVuIHNlc2FtZQ==")],
    "azure_signature": [("https://x.blob.core.windows.net/c?se=2026&sig={}", "Zm9v" + _BASE[:40] + "%3D")],
    "password": [
        ("postgresql://app:{}@db.internal:5432/orders", "p4ssw0rd!"),
        ("postgresql:%2F%2Fapp:{}@db.internal:5432%2Forders", "p4ssw0rd!"),
        ("redis%3A%2F%2F%3A{}%40cache%3A6379", "Wint3r-Coming"),
        ("redis://:{}@cache:6379/0", "Wint3r#Coming"),
        ("Server=tcp:x;Database=y;User ID=sa;Password={};Encrypt=True", "Tr0ub4dor&3".replace("&", "-")),
        ('{{"user": "a", "password": "{}"}}', "correct horse battery"),
        ("{{'db_password': '{}'}}", "hunter2!"),
        ('{{\\"password\\": \\"{}\\"}}', "Sup3rS3cret"),
        ("the password is {}.", "gr33n-Eggs"),
        ("mysql --password={} -u root", "lettuce99"),
        ("password: {}", "hunter22"),
        ("DB_PASSWD={}", "abcdefgh"),
    ],
    "api_key": [
        ("AccountName=x;AccountKey={};EndpointSuffix=core.windows.net", _BASE + _ALNUM + "=="),
        ("OPENAI_API_KEY={}", "abcdef0123456789"),
        ("GET /v1?api_key={}&q=1", "k-83hd72hs"),
        ("aws_secret_access_key = {}", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
        ("X-Api-Key: {}", "8d3f0a77-aa10"),
    ],
    "secret": [("client_secret={}", "zX9-1234-abc")],
    "token": [("access_token={}", "ya-8811-kk22"), ("token: {}", "a81bc81b-dead-4e5d-abff-90865d1e13b1")],
}
"""A text, and what in it is secret."""

HARMLESS: list[str] = [
    "order 1234567812345678 of 2026-11-22",
    "order 4111111111111112",  # fails the check
    "at 1732282800000, 1732282800000000 and 1732282800000000000 ns",
    "call +49 170 1234567890 or 0049-170-1234567",
    "550e8400-e29b-41d4-a716-446655440000",
    "isbn 978-3-16-148410-0, ean 4006381333931",
    "max_tokens: 4096, token_usage=12345678, total_tokens=99999999",
    "next_page_token=CAUQAA1234567890abcd",
    "{'token': 'hello', 'logprob': -0.5}",
    '{"type": "object", "properties": {"password": {"type": "string"}}, "required": ["password"]}',
    "password: must have at least eight letters",
    "The password is required. Your password was changed.",
    "password=${DB_PASSWORD} api_key=<your key> secret=None",
    "The secret: patience. A token of thanks: flowers.",
    "the bearer of good news, basic understanding, Basic JavaScript",
    "https://example.com:8080/a@b and user@example.com:22",
    "sk-learn-is-a-nice-library-for-everybody",
    "risk-adjusted-returns-for-2026-and-2027-are-low",
    "bc1-xxh3:00112233445566778899aabbccddeeff",
    "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "3.141592653589793238462643383279",
    "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20",
    "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYI\n-----END PUBLIC KEY-----",
    "eyJ is how a JSON object begins in base64",
    "the PIN is on the back; author=Smith, authority: EU",
    "pwd: /home/me/project",
]
