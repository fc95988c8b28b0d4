"""A store that cannot be used says so in a sentence, and loses nothing."""

import os
import subprocess
from contextlib import closing, contextmanager

import pytest
from sqlalchemy import create_engine, make_url, text

from listbridge.errors import Misconfigured, Stop
from listbridge.store import ledger, mirror, open_store
from listbridge.store.sharing import held
from listbridge.testing.store import entry, key, mirror_row


@contextmanager
def refused(words):
    with pytest.raises(Stop, match=words) as told:
        yield
    assert told.value.kind == "store"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "store.db",
        "mysql://a@b/c",
        "sqlite:/x.db",
        "postgresql://user:pass@host:port/x",
        "redis://x",
        "://",
    ],
)
def test_a_url_that_means_nothing_is_a_mistake_in_the_configuration(url):
    with pytest.raises(Misconfigured, match=r"store must be sqlite:///FILE or postgresql://"):
        open_store(url)


def test_a_missing_folder(tmp_path):
    with refused("folder is missing"):
        open_store(f"sqlite:///{tmp_path}/none/store.db")


def test_a_folder_in_place_of_a_file(tmp_path):
    with refused("cannot be opened"):
        open_store(f"sqlite:///{tmp_path}")


def test_a_file_that_is_no_database(tmp_path):
    (tmp_path / "store.db").write_text("name,email\nAnn,ann@example.com\n" * 100)
    with refused("no SQLite database"):
        open_store(f"sqlite:///{tmp_path}/store.db")
    assert (tmp_path / "store.db").read_text().startswith("name,email")


def test_a_database_of_another_program_is_left_alone(url):
    engine = create_engine(
        make_url(url).set(drivername="sqlite" if "sqlite" in url else "postgresql+psycopg")
    )
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE contact (id INTEGER)"))
    with refused("belongs to another program: it has a table contact"):
        open_store(url)
    with engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM contact")).scalar_one() == 0
    engine.dispose()


def test_a_damaged_file(tmp_path):
    path = tmp_path / "store.db"
    store = open_store(f"sqlite:///{path}")
    with store.write() as connection:
        mirror.save_rows(connection, "shop", [mirror_row(str(n), key(n)) for n in range(3000)])
    store.close()
    content = bytearray(path.read_bytes())
    content[8192:-4096] = b"\xa5" * (len(content) - 12288)
    path.write_bytes(content)
    with refused("damaged"):
        damaged = open_store(f"sqlite:///{path}")
        with closing(damaged), damaged.read() as connection:
            mirror.people(connection, "shop", b"")


def test_a_full_database_keeps_what_was_there(tmp_path):
    store = open_store(f"sqlite:///{tmp_path}/store.db")
    with store.write() as connection:
        mirror.save_rows(connection, "shop", [mirror_row("1", key(1))])
    with refused("disk is full"), store.write() as connection:
        pages = connection.execute(text("PRAGMA page_count")).scalar_one()
        connection.execute(text(f"PRAGMA max_page_count = {pages + 4}"))
        mirror.save_rows(connection, "shop", [mirror_row(str(n), key(n)) for n in range(2, 3000)])
    with store.read() as connection:
        assert mirror.count(connection, "shop") == 1
    store.close()


def mounted(folder, *options):
    folder.mkdir(exist_ok=True)
    mount("-t", "tmpfs", *options, "tmpfs", str(folder))


def remounted(folder, options):
    mount("-o", f"remount,{options}", str(folder))


def mount(*words):
    """Containers differ in what they let root do: the test is skipped with the reason."""
    try:
        done = subprocess.run(["mount", *words], capture_output=True, text=True, check=False)
    except OSError as error:
        pytest.skip(f"a file system cannot be mounted here: {error}")
    if done.returncode:
        pytest.skip(f"a file system cannot be mounted here: {done.stderr.strip()}")


@pytest.fixture
def small_disk(tmp_path):
    if os.geteuid() != 0:
        pytest.skip("only root may mount a file system")
    folder = tmp_path / "disk"
    mounted(folder, "-o", "size=1m")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=False)


def test_a_full_disk_keeps_what_was_there_and_goes_on_when_there_is_room(small_disk):
    store = open_store(f"sqlite:///{small_disk}/store.db")
    with store.write() as connection:
        mirror.save_rows(connection, "shop", [mirror_row("1", key(1))])
    with refused("disk is full"):
        for page in range(1, 50):
            with store.write() as connection:
                rows = [mirror_row(str(n), key(n)) for n in range(page * 1000, page * 1000 + 1000)]
                mirror.save_rows(connection, "shop", rows)
    with store.read() as connection:
        assert mirror.count(connection, "shop") % 1000 == 1
    remounted(small_disk, "size=64m")
    with store.write() as connection:
        mirror.save_rows(connection, "shop", [mirror_row(str(n), key(n)) for n in range(90_000, 95_000)])
        assert mirror.count(connection, "shop") % 1000 == 1
    store.close()


def test_a_read_only_folder(small_disk):
    store = open_store(f"sqlite:///{small_disk}/store.db")
    with store.write() as connection:
        ledger.save_entries(connection, 1, [entry(1)])
    store.close()
    remounted(small_disk, "ro")
    with refused("read-only|may not be written"):
        store = open_store(f"sqlite:///{small_disk}/store.db")
        with store.write() as connection:
            ledger.save_entries(connection, 1, [entry(2)])
    with refused("read-only|may not be written"):
        open_store(f"sqlite:///{small_disk}/new.db")


def test_a_lock_in_a_read_only_folder(small_disk):
    store = open_store(f"sqlite:///{small_disk}/store.db")
    with store.read():
        pass
    store.close()
    remounted(small_disk, "ro")
    with refused("folder of the store cannot be written to"), held(store, "shop"):
        raise AssertionError("the lock was taken")


def test_a_read_only_connection(tmp_path):
    open_store(f"sqlite:///{tmp_path}/store.db").close()
    with refused("read-only"):
        store = open_store(f"sqlite:///file:{tmp_path}/store.db?mode=ro&uri=true")
        with store.write() as connection:
            ledger.save_entries(connection, 1, [entry(1)])


# --- PostgreSQL ---


def test_a_server_that_is_down():
    with refused("does not answer"):
        open_store("postgresql://ann:secret@127.0.0.1:1/store")


def test_a_server_whose_name_is_not_known():
    with refused("name is not known"):
        open_store("postgresql://ann:secret@no-such-host.invalid/store")


def test_a_database_that_does_not_exist(postgres_url):
    with refused("does not exist on the server"):
        open_store(make_url(postgres_url).set(database="nowhere").render_as_string(hide_password=False))


def test_a_role_that_does_not_exist(postgres_url):
    with refused("does not exist on the server|refuses user or password"):  # as its log-in rules have it
        open_store(make_url(postgres_url).set(username="nobody_here").render_as_string(hide_password=False))


@pytest.mark.parametrize(
    "words",
    [
        'connection failed: FATAL:  password authentication failed for user "ann"',
        "connection failed: fe_sendauth: no password supplied",
    ],
)
def test_a_wrong_password(words):
    """In the words of the server: the one for the tests trusts everybody."""
    from listbridge.store.open import _explained

    assert _explained(words).message.startswith("The store's server refuses user or password.")


def test_a_connection_that_is_lost(postgres_url):
    store = open_store(postgres_url)
    with store.write() as connection:
        ledger.save_entries(connection, 1, [entry(1)])
    with refused("connection to the store's server was lost"), store.write() as connection:
        ledger.save_entries(connection, 1, [entry(2)])
        number = connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
        other = create_engine(store.engine.url, isolation_level="AUTOCOMMIT")
        with other.connect() as killer:
            killer.execute(text("SELECT pg_terminate_backend(:n)"), {"n": number})
        other.dispose()
        ledger.save_entries(connection, 1, [entry(3)])
    with store.read() as connection:
        assert set(ledger.entries(connection, 1, [key(n) for n in range(5)])) == {key(1)}
    store.close()


def test_nothing_can_be_written_by_a_reader_on_postgresql(postgres_url):
    store = open_store(postgres_url)
    with pytest.raises(Exception, match="read-only transaction"), store.read() as connection:
        ledger.save_entries(connection, 1, [entry(1)])
    store.close()
