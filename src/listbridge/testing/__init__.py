"""Contract suites for connectors and stores, to be inherited by the tests of whoever writes one."""

from pathlib import Path
from typing import Any

import httpx2

from listbridge.connectors.base import Context
from listbridge.http import Calls, Http, Patience

AWKWARD_NAMES = (
    "Straße",
    "😀👩‍👧",
    "שלום עולם",
    'O\'Neill; "x"',
    "a,b;c",
    "Ünïcode é",
    "x" * 10_000,
    "0",
    "<b>&",
)
"""Names that have broken something somewhere: signs, scripts, quotes, lengths."""

AWKWARD_ADDRESSES = (
    "Twin@shop.example",
    "twin@SHOP.example",
    "straße@shop.example",
    "a+b.c'd@sub.shop.example",
)
"""Addresses that are written oddly; the first two are one person."""

IMPATIENT = Patience(
    retry_for_seconds=0.5, first_wait_seconds=0.001, longest_wait_seconds=0.01, jitter_seconds=0.001
)


def context(
    folder: Path, transport: httpx2.AsyncBaseTransport | None = None, calls: Calls | None = None
) -> Context:
    """What the engine gives a connector, over a stand-in in the same process and with little patience."""

    def http(base_url: str, *, per_second: float | None = None, **given: Any) -> Http:
        given = {"timeout_seconds": 5.0, **given}
        return Http(base_url, name="bench", transport=transport, calls=calls, patience=IMPATIENT, **given)

    return Context("bench", folder, http)
