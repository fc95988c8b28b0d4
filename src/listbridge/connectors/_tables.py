"""What the generic sources share: the tables of ROWS, their columns, and how they are read off the loop."""

import asyncio
from collections.abc import AsyncIterator, Callable, Generator, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from pydantic import Field

from listbridge.connectors.base import Options, Page, Row
from listbridge.errors import Misconfigured
from listbridge.rows import text

T = TypeVar("T")

PAGE_SIZE = 1000
"""Rows a page: large enough to be fast, small enough to be forgotten at once."""


def _columns(words: str) -> frozenset[str]:
    return frozenset(words.split())


_ADDRESS = "name company street city postcode country phone"
_LINE = "id product_id variant_id title variant_title sku quantity price"

COLUMNS: Mapping[str, frozenset[str]] = {
    "contacts": _columns(
        "id email first_name last_name phone language company street city postcode country birthday consent "
        "consent_at guest groups segments orders_count total_spent created_at updated_at deleted"
    ),
    "orders": _columns(
        "id number contact_id email first_name last_name status currency total tax shipping discount placed_at "
        "updated_at cancelled_at promo_codes cart_id url tracking_number tracking_carrier tracking_url lines"
    )
    | {f"{prefix}_{part}" for prefix in ("billing", "shipping") for part in _ADDRESS.split()},
    "order_lines": _columns(f"order_id discount {_LINE}"),
    "products": _columns(
        "id title description url image_url vendor category sku price stock published_at created_at updated_at "
        "variants"
    ),
    "variants": _columns("product_id id title sku price stock url image_url updated_at"),
    "promotions": _columns(
        "id title description type amount target starts_at ends_at enabled created_at updated_at codes"
    ),
    "promo_codes": _columns("promotion_id id code url usage_count enabled created_at updated_at"),
    "carts": _columns("id contact_id email first_name currency total tax url created_at updated_at lines"),
    "cart_lines": _columns(f"cart_id {_LINE}"),
}
"""The columns that have a meaning, by table; only their letter case is of no account."""

NEEDED: Mapping[str, tuple[str, ...]] = {
    "contacts": ("id", "email"),
    "orders": ("id", "currency", "total", "placed_at"),
    "order_lines": ("order_id", "product_id", "quantity", "price"),
    "products": ("id", "title"),
    "variants": ("product_id", "id"),
    "promotions": ("id", "type", "amount"),
    "promo_codes": ("promotion_id", "code"),
    "carts": ("id", "currency", "total"),
    "cart_lines": ("cart_id", "product_id", "quantity", "price"),
}
"""The columns without which a table cannot be read."""


class TableOptions(Options):
    """One option for each table; what is left out, the source does not hold."""

    contacts: str | None = Field(default=None, min_length=1, description="Where the contacts are.")
    orders: str | None = Field(default=None, min_length=1, description="Where the placed orders are.")
    order_lines: str | None = Field(default=None, min_length=1, description="Where the lines of orders are.")
    products: str | None = Field(default=None, min_length=1, description="Where the products are.")
    variants: str | None = Field(
        default=None, min_length=1, description="Where the variants of products are."
    )
    promotions: str | None = Field(default=None, min_length=1, description="Where the promotions are.")
    promo_codes: str | None = Field(default=None, min_length=1, description="Where codes of promotions are.")
    carts: str | None = Field(default=None, min_length=1, description="Where the open carts are.")
    cart_lines: str | None = Field(default=None, min_length=1, description="Where the lines of carts are.")

    def held(self) -> dict[str, str]:
        """The tables that the source holds, and where they are."""
        found = {table: getattr(self, table) for table in COLUMNS}
        return {table: where for table, where in found.items() if where is not None}

    def where(self, table: str, connection: str) -> str:
        """Where one table is. Raises :class:`Misconfigured` if the source does not hold it."""
        found: str | None = getattr(self, table)
        if found is None:
            raise Misconfigured(f"The connection {connection} has no {table}; add the option {table} to it.")
        return found


def header(names: Iterable[Any], table: str, where: str) -> list[str]:
    """The columns as the rows will name them: trimmed, known ones in lower case.

    Raises :class:`Misconfigured` for a column without a name, two of one name, or a needed one missing.
    ``where`` says in words where the table is.
    """
    found = [column(name, table) for name in names]
    if "" in found:
        raise Misconfigured(f"Column {found.index('') + 1} of {where} has no name; give it one.")
    twice = sorted({name for name in found if found.count(name) > 1})
    if twice:
        raise Misconfigured(f"{where} has two columns with the name {twice[0]}; rename or leave out one.")
    missing = [name for name in NEEDED[table] if name not in found]
    if missing:
        raise Misconfigured(
            f"{where} lacks the column {' and '.join(missing)}. It has: {', '.join(found)}. "
            f"Rename the column that holds it to {missing[0]}."
        )
    return found


def column(name: Any, table: str) -> str:
    """One column as the rows will name it."""
    trimmed = text(name).strip()
    known = trimmed.lower()
    return known if known in COLUMNS[table] else trimmed


class OneThread:
    """A thread on which a source does what blocks: everything else goes on, and nothing overlaps there."""

    def __init__(self, name: str) -> None:
        self._executor = ThreadPoolExecutor(1, thread_name_prefix=name)

    async def run(self, do: Callable[..., T], *given: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._executor, do, *given)

    async def pages(self, batches: Generator[list[Row], None, None]) -> AsyncIterator[Page]:
        """The batches as pages. However the reading ends, the generator is closed on its thread."""
        try:
            while (rows := await self.run(next, batches, None)) is not None:
                yield Page(rows)
        finally:
            await self.run(batches.close)

    def close(self) -> None:
        self._executor.shutdown()
