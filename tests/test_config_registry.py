"""Finding connectors by name."""

import importlib
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from config_fakes import CONNECTORS
from listbridge import connectors
from listbridge.connectors import registry
from listbridge.connectors.registry import all_names, connector_named
from listbridge.errors import Misconfigured

FAKE = """\
from listbridge.connectors.base import Connector, Options
connector = Connector("{name}", "{name}", Options, source=object)
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterable[Path]:
    """The connectors there are lie in this folder."""
    monkeypatch.setattr(connectors, "__path__", [str(tmp_path)])
    importlib.invalidate_caches()
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if (module_file := getattr(sys.modules[name], "__file__", None)) and str(tmp_path) in module_file:
            del sys.modules[name]


class Point:
    """An entry point as far as the registry looks at it."""

    def __init__(self, name: str, found: object) -> None:
        self.name, self.found, self.value = name, found, "some.package:thing"

    def load(self) -> object:
        return self.found


@pytest.fixture
def points(monkeypatch: pytest.MonkeyPatch) -> list[Point]:
    """The entry points there are."""
    there: list[Point] = []

    def entry_points(group: str, name: str | None = None) -> list[Point]:
        assert group == "listbridge.connectors"
        return [point for point in there if name in (None, point.name)]

    monkeypatch.setattr(registry, "entry_points", entry_points)
    return there


def test_a_module_of_the_package_is_found_and_no_other_is_imported(folder: Path) -> None:
    (folder / "fakeone.py").write_text(FAKE.format(name="fakeone"))
    (folder / "faketwo.py").write_text("raise RuntimeError('imported for nothing')\n")
    assert connector_named("fakeone").title == "fakeone"


def test_names_are_listed_and_modules_without_a_connector_are_not(folder: Path, points: list[Point]) -> None:
    (folder / "fakeone.py").write_text(FAKE.format(name="fakeone"))
    (folder / "rows_of_something.py").write_text("x = 1\n")
    (folder / "fakeneedy.py").write_text("import package_that_is_not_there\n")
    points.append(Point("another", CONNECTORS["shop"]))
    assert all_names() == ("another", "fakeneedy", "fakeone")


@pytest.mark.parametrize(
    "name", ["base", "registry", "__init__", "_private", "a.b", "../x", "rows_of_nothing"]
)
def test_what_is_no_connector_is_not_found(folder: Path, name: str) -> None:
    (folder / "rows_of_nothing.py").write_text("connector = 5\n")
    (folder / "_private.py").write_text(FAKE.format(name="_private"))
    with pytest.raises(Misconfigured, match="There is no connector "):
        connector_named(name)


def test_the_nearest_name_is_told(folder: Path) -> None:
    (folder / "fakeshop.py").write_text(FAKE.format(name="fakeshop"))
    with pytest.raises(Misconfigured, match=r"There is no connector fakeshpo; did you mean fakeshop\?"):
        connector_named("fakeshpo")
    with pytest.raises(Misconfigured, match=r"There is no connector zzzzqqqq; there are .*fakeshop"):
        connector_named("zzzzqqqq")


def test_a_third_party_connector_is_found_by_its_entry_point(points: list[Point]) -> None:
    points.append(Point("thirdparty", CONNECTORS["shop"]))
    assert connector_named("thirdparty") is CONNECTORS["shop"]


def test_an_entry_point_that_is_no_connector_is_told(points: list[Point]) -> None:
    points.append(Point("thirdparty", "nonsense"))
    with pytest.raises(Misconfigured, match=r"connector thirdparty names some\.package:thing, which is none"):
        connector_named("thirdparty")


def test_a_missing_package_of_a_connector_is_named(folder: Path) -> None:
    (folder / "fakeneedy.py").write_text("import package_that_is_not_there\n")
    with pytest.raises(Misconfigured, match="fakeneedy needs the package package_that_is_not_there"):
        connector_named("fakeneedy")
