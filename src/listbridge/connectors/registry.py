"""Which connectors there are, found by name without importing any other."""

import difflib
import importlib
import importlib.util
import pkgutil
from importlib.metadata import EntryPoint, entry_points

from listbridge import connectors
from listbridge.connectors.base import Connector
from listbridge.errors import Misconfigured

GROUP = "listbridge.connectors"
_NO_CONNECTORS = frozenset({"base", "registry"})


def connector_named(name: str) -> Connector:
    """The connector of that name; ``Misconfigured`` names the nearest one that there is."""
    found = _built_in(name) or _third_party(name)
    if found is None:
        raise Misconfigured(_unknown(name))
    return found


def all_names() -> tuple[str, ...]:
    """Every connector's name, sorted. Imports them all, so not for the way of a run."""
    modules = (module.name for module in pkgutil.iter_modules(connectors.__path__))
    built_in = {name for name in modules if _is_built_in(name)}
    return tuple(sorted(built_in | {point.name for point in entry_points(group=GROUP)}))


def _is_built_in(name: str) -> bool:
    try:
        return _built_in(name) is not None
    except Misconfigured:  # it is there, and lacks a package that asking for it by name will tell
        return True


def _built_in(name: str) -> Connector | None:
    if name in _NO_CONNECTORS or not name.isidentifier() or name.startswith("_"):
        return None
    module_name = f"{connectors.__name__}.{name}"
    if importlib.util.find_spec(module_name) is None:
        return None
    found = getattr(_imported(module_name, name), "connector", None)
    return found if isinstance(found, Connector) else None


def _imported(module_name: str, name: str) -> object:
    try:
        return importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        raise Misconfigured(
            f"The connector {name} needs the package {error.name}, which is not installed; install it."
        ) from error


def _third_party(name: str) -> Connector | None:
    for point in entry_points(group=GROUP, name=name):
        return _loaded(point)
    return None


def _loaded(point: EntryPoint) -> Connector:
    found = point.load()
    if not isinstance(found, Connector):
        raise Misconfigured(
            f"The package that offers the connector {point.name} names {point.value}, which is none; "
            "update or remove that package."
        )
    return found


def _unknown(name: str) -> str:
    names = all_names()
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(names)}."
    return f"There is no connector {name}; {hint}"
