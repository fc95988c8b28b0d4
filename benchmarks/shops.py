"""Shops for benchmarks, made and changed in a process of their own.

``python -m benchmarks.shops build PATH SIZE`` · ``edit PATH PEOPLE``. Everybody in them has agreed to the
newsletter and has an account, so that each tool has the same people to deliver: the peers know no consent.
"""

import argparse
import sqlite3
from contextlib import closing
from pathlib import Path

from listbridge.demo import shop

COLUMNS = "SELECT id, email, first_name, last_name, newsletter AS consent, updated_at FROM customers"
"""What Listbridge reads: the same fields as the peers, the shop's id and the consent."""


def build(path: Path, size: int) -> None:
    shop.build_shop(path, size)
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE customers SET newsletter = 'granted', newsletter_at = NULL, is_guest = 0")


def edit(path: Path, people: int) -> None:
    shop.edit_names(path, people)


def edited_last(path: Path) -> tuple[str, str]:
    """Address and last name of the person changed last: who must have arrived at the platform by then."""
    with closing(sqlite3.connect(path)) as database:
        email, name = database.execute(
            "SELECT email, last_name FROM customers ORDER BY updated_at DESC, id DESC LIMIT 1"
        ).fetchone()
    return str(email), str(name)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("act", choices=["build", "edit"])
    parser.add_argument("path", type=Path)
    parser.add_argument("people", type=int)
    asked = parser.parse_args()
    (build if asked.act == "build" else edit)(asked.path, asked.people)


if __name__ == "__main__":
    main()
