"""The shop to Mailchimp with dlt: incremental by ``updated_at``, 500 members a call, ten calls at a time.

Run by the Python of dlt's own environment: ``dlt_rows.py SHOP URL LIST API_KEY``. dlt has no Mailchimp
destination; ``@dlt.destination`` is its way to write one. Its unit of parallel loading is the file, therefore
500 rows make a file (``file_max_items`` in the environment, see ``systems.py``).
"""

import sqlite3
import sys
from collections.abc import Iterator
from typing import Any

import dlt
from dlt.sources.helpers import requests

SHOP, URL, LIST, API_KEY = sys.argv[1:]
QUERY = "SELECT email, first_name, last_name, updated_at FROM customers WHERE updated_at > ?"


@dlt.resource(name="members", write_disposition="append")
def members(
    updated_at: Any = dlt.sources.incremental("updated_at", initial_value="", range_start="open"),  # noqa: B008 (dlt finds it here)
) -> Iterator[list[dict[str, str]]]:
    with sqlite3.connect(SHOP) as shop:
        shop.row_factory = sqlite3.Row
        rows = shop.execute(QUERY, (updated_at.last_value,))
        while page := rows.fetchmany(500):
            yield [dict(row) for row in page]


@dlt.destination(
    name="mailchimp",
    batch_size=500,
    loader_file_format="typed-jsonl",
    max_parallel_load_jobs=10,
    loader_parallelism_strategy="parallel",
)
def mailchimp(items: list[dict[str, str]], table: Any) -> None:
    rows = [
        {
            "email_address": item["email"],
            "status": "subscribed",
            "merge_fields": {"FNAME": item["first_name"], "LNAME": item["last_name"]},
        }
        for item in items
    ]
    answer = requests.post(
        f"{URL}/lists/{LIST}",
        json={"members": rows, "update_existing": True},
        headers={"Authorization": f"Bearer {API_KEY}"},
    )
    answer.raise_for_status()


if __name__ == "__main__":
    dlt.pipeline(pipeline_name="members", destination=mailchimp(), pipelines_dir="pipelines").run(members())
