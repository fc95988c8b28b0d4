"""A shop database (SQLite) made from real purchases, for the demo and the benchmarks.

What is real: who bought how often, when, how much and for how many dollars. That is CDNOW, 69,659 purchases
of 23,570 customers of a music shop, 1997 to mid-1998, which the package ``lifetimes`` brings along. It is read
where it is installed and never copied. What is derived, because no public data holds it: names, addresses,
consent, guests, the people who never bought, customer groups. Names come from Faker with a fixed seed, and every
address ends in ``.example``, so that nobody real can be meant. ``ShopFacts.words`` says all this to whoever
looks at the demo.

Where the data is not installed (a plain ``pip install listbridge``), a smaller shop with drawn purchases takes
its place and says so.

Faker makes only the pools that people are drawn from: asked for every person anew it takes longer than all the
rest of the shop. It is a normal dependency because the demo must run from the wheel, and is imported only here.
"""

import os
import random
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from importlib import metadata
from itertools import count, cycle, islice
from pathlib import Path
from typing import NamedTuple

SEED = 1997
GENERATED_SIZE = 2_000
FIRST_DAY = date(1997, 1, 1)
LAST_DAY = date(1998, 6, 30)
"""First and last day of the purchases; recency is measured from the last one."""

NEVER_BOUGHT_EVERY = 20
"""Every so many-th person has an account and never bought anything."""

SCHEMA = """
CREATE TABLE customers (
    id INTEGER PRIMARY KEY,
    email TEXT NOT NULL,
    first_name TEXT,
    last_name TEXT,
    street TEXT,
    city TEXT,
    postcode TEXT,
    country TEXT,
    language TEXT,
    newsletter TEXT NOT NULL,
    newsletter_at TEXT,
    is_guest INTEGER NOT NULL,
    customer_groups TEXT,
    segments TEXT,
    orders_count INTEGER NOT NULL,
    total_spent TEXT NOT NULL,
    first_order_at TEXT,
    last_order_at TEXT,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL
)
"""

CONTACTS = """
SELECT id, email, first_name, last_name, street, city, postcode, country, language,
       newsletter AS consent, newsletter_at AS consent_at, is_guest AS guest,
       customer_groups AS "groups", segments, orders_count, total_spent,
       first_order_at, last_order_at, created_at, updated_at
FROM customers
""".strip()
"""The option ``contacts`` of a ``sql`` connection to this shop."""

INSERT = f"INSERT INTO customers VALUES ({', '.join('?' * 20)})"

Row = tuple[object, ...]


class History(NamedTuple):
    """What one customer bought: the derived figures of a list of purchases. Days are ISO dates."""

    orders: int
    items: int
    cents: int
    first: str
    last: str


@dataclass(frozen=True, slots=True)
class Locale:
    """The pools that people of one country are drawn from. A name goes with its spelling in an address."""

    country: str
    language: str
    first_names: Sequence[tuple[str, str]]
    last_names: Sequence[tuple[str, str]]
    places: Sequence[tuple[str, str, str]]  # street, city, postcode


@dataclass(frozen=True, slots=True)
class ShopFacts:
    """What was built. ``consent`` counts the four words, ``consent_with_time`` those that have a time too."""

    people: int
    real: bool
    consent: Mapping[str, int]
    consent_with_time: Mapping[str, int]
    kinds: Mapping[str, int]
    segments: Mapping[str, int]
    groups: Mapping[str, int]
    guests: int
    never_bought: int

    @property
    def words(self) -> str:
        """Two sentences on what is real and what is not, for people who look at the demo."""
        derived = "Names, addresses (all .example) and consent are made up by a fixed rule."
        if self.real:
            return f"The purchases are real: CDNOW, 1997 and 1998, from the package lifetimes. {derived}"
        return (
            f"The purchases are drawn by chance, because CDNOW is not installed. {derived} "
            "For the real ones: pip install --no-deps --target .data/packages lifetimes"
        )


# --- where the purchases come from -------------------------------------------------------------------


def cdnow_file() -> Path | None:
    """The installed CDNOW file, or ``None``.

    Looked for in the folder ``LISTBRIDGE_DATA``, in ``.data/packages`` below the working folder, and in an
    installed ``lifetimes``, which is not imported: that would need pandas and more.
    """
    inside = Path("lifetimes", "datasets", "CDNOW_master.txt")
    folders = [Path(".data", "packages")]
    if named := os.environ.get("LISTBRIDGE_DATA"):
        folders = [Path(named), Path(named, "packages"), *folders]
    try:
        installed = metadata.distribution("lifetimes").locate_file("")
    except metadata.PackageNotFoundError:
        pass
    else:
        folders.append(Path(str(installed)))
    return next((file.resolve() for folder in folders if (file := folder / inside).is_file()), None)


def cdnow_histories(file: Path) -> list[History]:
    """The customers of CDNOW in the order of their numbers. Columns: customer, day, CDs, dollars."""
    histories: dict[str, History] = {}
    with file.open(encoding="ascii") as lines:
        next(lines)
        for line in lines:
            if not line.strip():
                continue
            customer, day, items, dollars = line.split()
            histories[customer] = _with_purchase(
                histories.get(customer), _iso(day), int(items), _cents(dollars)
            )
    return [histories[customer] for customer in sorted(histories)]


def drawn_histories(seed: int = SEED, customers: int = GENERATED_SIZE) -> list[History]:
    """Purchases drawn by chance, with the shape of the real ones: half buy once, few buy often."""
    chance = random.Random(seed)
    return [_drawn_history(chance) for _ in range(customers)]


def _drawn_history(chance: random.Random) -> History:
    orders = 1 if chance.random() < 0.5 else 1 + int(chance.expovariate(0.25))
    first = FIRST_DAY + timedelta(days=chance.randrange(90))
    last = first + timedelta(days=chance.randrange((LAST_DAY - first).days)) if orders > 1 else first
    items = orders * (1 + int(chance.expovariate(0.7)))
    return History(orders, items, items * chance.randrange(1099, 1999), first.isoformat(), last.isoformat())


def _with_purchase(so_far: History | None, day: str, items: int, cents: int) -> History:
    if so_far is None:
        return History(1, items, cents, day, day)
    return History(
        so_far.orders + 1,
        so_far.items + items,
        so_far.cents + cents,
        min(so_far.first, day),
        max(so_far.last, day),
    )


def _iso(day: str) -> str:
    return f"{day[:4]}-{day[4:6]}-{day[6:]}"


def _cents(dollars: str) -> int:
    whole, _, part = dollars.partition(".")
    return int(whole) * 100 + int(part.ljust(2, "0"))


# --- who the customers are ---------------------------------------------------------------------------

LOCALES = (("en_US", "US", "en", 8), ("de_DE", "DE", "de", 1), ("fr_FR", "FR", "fr", 1))
"""Faker's name, country, language, and the share of people out of ten."""

MAIL_HOSTS = ("mail.example", "post.example", "inbox.example", "letters.example")

CONSENT = (
    ("granted", True, 40),
    ("granted", False, 10),
    ("pending", True, 8),
    ("denied", True, 8),
    ("denied", False, 4),
    ("unknown", False, 30),
)
"""Word, whether the shop knows a time, and how many of a hundred people. Every state occurs."""

GUESTS_OF_HUNDRED = 30
"""How many of a hundred people who bought just once have no account."""


@lru_cache(maxsize=1)
def locales(seed: int = SEED) -> Sequence[Locale]:
    """The pools, the same ones for the same seed. A locale stands in the list as often as its share says."""
    return [locale for name, *facts, share in LOCALES for locale in [_locale(seed, name, *facts)] * share]


def _locale(seed: int, name: str, country: str, language: str) -> Locale:
    from faker import Faker
    from faker.utils.text import slugify

    fake = Faker(name)
    fake.seed_instance(f"{seed} {name}")

    def spelled(names: Iterable[str]) -> list[tuple[str, str]]:
        return [(text, slugify(text)) for text in names]

    return Locale(
        country,
        language,
        spelled(fake.first_name() for _ in range(400)),
        spelled(fake.last_name() for _ in range(600)),
        [(fake.street_address(), fake.city(), fake.postcode()) for _ in range(300)],
    )


def _people(histories: Sequence[History], seed: int, *, first_id: int = 1) -> Iterator[Row]:
    """Rows of ``customers`` without end: the histories over and over, each time with new people."""
    chance = random.Random(f"{seed} {first_id}")
    pools = locales(seed)
    consents = [(word, timed) for word, timed, share in CONSENT for _ in range(share)]
    bought = cycle(histories)
    for person in count(first_id):
        history = None if person % NEVER_BOUGHT_EVERY == 0 else next(bought)
        yield _person(person, history, chance.choice(pools), chance.choice(consents), chance)


def _person(
    person: int, history: History | None, locale: Locale, consent: tuple[str, bool], chance: random.Random
) -> Row:
    first_name, first_slug = chance.choice(locale.first_names)
    last_name, last_slug = chance.choice(locale.last_names)
    host = MAIL_HOSTS[person % len(MAIL_HOSTS)]
    since = history.first if history else _day(chance.randrange(90))
    latest = history.last if history else since
    word, timed = consent
    guest = history is not None and history.orders == 1 and chance.randrange(100) < GUESTS_OF_HUNDRED
    return (
        person,
        f"{first_slug}.{last_slug}.{person}@{host}",
        first_name,
        last_name,
        *chance.choice(locale.places),
        locale.country,
        locale.language,
        word,
        _consent_time(word, since, latest) if timed else None,
        int(guest),
        None if guest else _group(history),
        ";".join(segments(history)),
        history.orders if history else 0,
        f"{history.cents // 100}.{history.cents % 100:02d}" if history else "0.00",
        f"{history.first}T12:00:00Z" if history else None,
        f"{history.last}T12:00:00Z" if history else None,
        f"{since}T12:00:00Z",
        f"{latest}T12:05:00Z",
    )


def _day(after_first: int) -> str:
    return (FIRST_DAY + timedelta(days=after_first)).isoformat()


def _consent_time(word: str, since: str, latest: str) -> str:
    """People agree when they come and refuse at their last visit."""
    return f"{latest}T12:04:00Z" if word == "denied" else f"{since}T12:01:00Z"


def _group(history: History | None) -> str:
    return "wholesale" if history and history.items >= 50 else "retail"


# --- recency, frequency, value -----------------------------------------------------------------------

RECENT = (LAST_DAY - timedelta(days=90)).isoformat()
LONG_AGO = (LAST_DAY - timedelta(days=365)).isoformat()
OFTEN = 4
MUCH_CENTS = 200_00


def segments(history: History | None) -> tuple[str, ...]:
    """The RFM words that hold for a customer; nobody who never bought has one, some customers have several."""
    if history is None:
        return ()
    recent, often, much = history.last >= RECENT, history.orders >= OFTEN, history.cents >= MUCH_CENTS
    words = {
        "champions": recent and often and much,
        "loyal": often and history.last >= LONG_AGO,
        "promising": recent and not often,
        "at-risk": often and history.last < RECENT,
        "big-spenders": much,
        "one-time": history.orders == 1,
        "lapsed": history.last < LONG_AGO,
    }
    return tuple(word for word, holds in words.items() if holds)


# --- the database ------------------------------------------------------------------------------------


def build_shop(path: Path, size: int | None = None, seed: int = SEED) -> ShopFacts:
    """Make the shop at ``path``, in place of any file there, and say what is in it.

    ``size`` is the number of people; left out, each customer of the data occurs once. More people than the data
    has repeat its purchases under new names and addresses. The same arguments give the same rows, and a bigger
    shop begins with the rows of a smaller one. Rows are streamed: memory does not grow with ``size``.
    """
    if size is not None and size < 1:
        raise ValueError(f"A shop needs at least one person, not {size}.")
    file = cdnow_file()
    histories = cdnow_histories(file) if file else drawn_histories(seed)
    people = size or _people_for(len(histories))
    unfinished = path.with_name(path.name + ".part")
    unfinished.unlink(missing_ok=True)
    with closing(sqlite3.connect(unfinished, isolation_level=None)) as shop:
        _fill(shop, islice(_people(histories, seed), people))
        facts = _facts(shop, real=file is not None)
    unfinished.replace(path)
    return facts


def _people_for(customers: int) -> int:
    """How many people it takes until every customer has occurred, those who never bought in between."""
    return customers + (customers - 1) // (NEVER_BOUGHT_EVERY - 1)


def _fill(shop: sqlite3.Connection, rows: Iterable[Row]) -> None:
    shop.execute("PRAGMA journal_mode = OFF")
    shop.execute("PRAGMA synchronous = OFF")
    shop.execute(SCHEMA)
    shop.execute("BEGIN")
    shop.executemany(INSERT, rows)
    shop.execute("CREATE INDEX customers_updated_at ON customers (updated_at)")
    shop.execute("COMMIT")


def shop_facts(path: Path, *, real: bool) -> ShopFacts:
    """What a shop holds now."""
    with closing(sqlite3.connect(path)) as shop:
        return _facts(shop, real=real)


def _facts(shop: sqlite3.Connection, *, real: bool) -> ShopFacts:
    people, guests, buyers, subscribers, contacts = shop.execute(
        "SELECT count(*), total(is_guest), total(orders_count > 0), total(newsletter = 'granted'),"
        " total(orders_count = 0 AND newsletter <> 'granted') FROM customers"
    ).fetchone()
    return ShopFacts(
        people=people,
        real=real,
        consent=_counts(shop, "newsletter"),
        consent_with_time=_counts(shop, "iif(newsletter_at IS NULL, '', newsletter)"),
        kinds={"subscriber": int(subscribers), "buyer": int(buyers), "contact": int(contacts)},
        segments=_counts(shop, "segments"),
        groups=_counts(shop, "customer_groups"),
        guests=int(guests),
        never_bought=people - int(buyers),
    )


def _counts(shop: sqlite3.Connection, column: str) -> dict[str, int]:
    counted: Counter[str] = Counter()
    for words, people in shop.execute(f"SELECT {column}, count(*) FROM customers GROUP BY 1 ORDER BY 1"):
        for word in (words or "").split(";"):
            if word:
                counted[word] += people
    return dict(counted)


# --- a day in its life -------------------------------------------------------------------------------


def edit_names(path: Path, people: int, at: datetime | None = None, seed: int = SEED) -> list[str]:
    """So many subscribed customers get a new last name. Spread evenly over the shop; gives their addresses."""
    stamp, chance, pools = _stamp(at), random.Random(seed), locales(seed)
    with closing(sqlite3.connect(path)) as shop, shop:
        chosen = _spread(shop, people)
        shop.executemany(
            "UPDATE customers SET last_name = ?, updated_at = ? WHERE id = ?",
            [(_other_name(old, pools[0], chance), stamp, person) for person, _, old in chosen],
        )
    return [email for _, email, _ in chosen]


def _other_name(old: str, locale: Locale, chance: random.Random) -> str:
    return chance.choice([name for name, _ in locale.last_names if name != old])


def add_customers(path: Path, people: int, at: datetime | None = None, seed: int = SEED) -> list[str]:
    """So many new people sign up and agree to the newsletter, without an order yet; gives their addresses."""
    stamp = _stamp(at)
    with closing(sqlite3.connect(path)) as shop, shop:
        (highest,) = shop.execute("SELECT coalesce(max(id), 0) FROM customers").fetchone()
        rows = list(islice(_newcomers(seed, highest + 1, stamp), people))
        shop.executemany(INSERT, rows)
    return [str(row[1]) for row in rows]


def _newcomers(seed: int, first_id: int, stamp: str) -> Iterator[Row]:
    chance = random.Random(f"{seed} {first_id}")
    pools = locales(seed)
    for person in count(first_id):
        row = _person(person, None, chance.choice(pools), ("granted", False), chance)
        yield (*row[:10], stamp, *row[11:18], stamp, stamp)


def delete_account(path: Path) -> str:
    """The subscribed customer who was quiet for longest deletes the account: the row is gone. Gives the address."""
    with closing(sqlite3.connect(path)) as shop, shop:
        person, email = _quietest(shop)
        shop.execute("DELETE FROM customers WHERE id = ?", (person,))
    return email


def opt_out(path: Path, at: datetime | None = None) -> str:
    """The subscribed customer who was quiet for longest refuses the newsletter in the shop. Gives the address."""
    stamp = _stamp(at)
    with closing(sqlite3.connect(path)) as shop, shop:
        person, email = _quietest(shop)
        shop.execute(
            "UPDATE customers SET newsletter = 'denied', newsletter_at = ?, updated_at = ? WHERE id = ?",
            (stamp, stamp, person),
        )
    return email


SUBSCRIBED = "FROM customers WHERE newsletter = 'granted' AND NOT is_guest"


def _spread(shop: sqlite3.Connection, wanted: int) -> list[tuple[int, str, str]]:
    (available,) = shop.execute(f"SELECT count(*) {SUBSCRIBED}").fetchone()
    if not 0 < wanted <= available:
        raise ValueError(
            f"The shop has {available} subscribed customers; {wanted} of them cannot be changed."
        )
    return shop.execute(
        "SELECT id, email, last_name FROM"
        f" (SELECT id, email, last_name, row_number() OVER (ORDER BY id) AS place {SUBSCRIBED})"
        " WHERE place % ? = 0 ORDER BY id LIMIT ?",
        (available // wanted, wanted),
    ).fetchall()


def _quietest(shop: sqlite3.Connection) -> tuple[int, str]:
    """Never one whom another act of the same day has just changed, while there is anybody else."""
    found = shop.execute(f"SELECT id, email {SUBSCRIBED} ORDER BY updated_at, id LIMIT 1").fetchone()
    if found is None:
        raise ValueError("The shop has no subscribed customer left.")
    return int(found[0]), str(found[1])


def _stamp(at: datetime | None) -> str:
    return (at or datetime.now(UTC)).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
