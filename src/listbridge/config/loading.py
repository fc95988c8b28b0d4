"""From a file to a :class:`Config`, with every problem found at once."""

import re
from collections.abc import Callable, Mapping
from functools import reduce
from operator import getitem
from pathlib import Path
from typing import Any, TypeVar, cast

from pydantic import BaseModel, ValidationError

from listbridge.config.checks import check_syncs
from listbridge.config.models import SYNC_TYPES, Config, Connection, Document, Reference, Sync
from listbridge.config.problems import Faulty, Place, Problems, listed, suggestion
from listbridge.config.text import Tree, read_yaml
from listbridge.config.words import explain
from listbridge.config.writing import plain
from listbridge.connectors.base import Connector
from listbridge.connectors.registry import connector_named
from listbridge.errors import Misconfigured
from listbridge.schedule import parse_duration

Lookup = Callable[[str], Connector]
Model = TypeVar("Model", bound=BaseModel)

_MAPS = ("connections", "syncs")
_RELATIVE_SQLITE = re.compile(r"(sqlite(?:\+\w+)?:///)(?!/|:memory:|file:)([^?]+)(.*)")
_STORE = re.compile(r"(sqlite|postgresql)(\+\w+)?://")
_BAD_NAME = re.compile(r"^$|^-|[/\\\x00-\x1f]")
_SECRET_OPTION = re.compile(r"key|secret|token|password|auth", re.IGNORECASE)
_USERINFO = re.compile(r"://[^/@\s]*:([^/@\s]+)@")


def load(path: Path, environ: Mapping[str, str], connectors: Lookup = connector_named) -> Config:
    """The configuration in the file, checked before anything is read or written anywhere.

    ``connectors`` finds a connector by name and raises ``Misconfigured`` for one that there is not.
    Raises :class:`Faulty`, a ``Misconfigured``, with one sentence for each problem.
    """
    return load_text(_text_of(path), path, environ, connectors)


def load_text(
    text: str, path: Path, environ: Mapping[str, str], connectors: Lookup = connector_named
) -> Config:
    """As :func:`load`, with the text given and only its place taken from ``path``."""
    tree, problems = read_yaml(text, environ)
    document = _document(tree, problems)
    if document is None:
        raise Faulty(path, problems.found)
    builder = _Builder(tree, problems, connectors)
    connections = builder.connections(document)
    syncs = builder.syncs(document)
    check_syncs(connections, frozenset(document.connections), syncs, problems)
    if problems.found:
        raise Faulty(path, problems.found)
    folder = path.absolute().parent
    return Config(
        path=path,
        folder=folder,
        store=_beside(folder, document.store),
        store_given=_written(tree, ("store",)) if "store" in document.model_fields_set else None,
        connections=connections,
        syncs=syncs,
        references=_references(tree, syncs),
    )


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise Misconfigured(
            f"There is no configuration file {path}. Write a first one with `listbridge init`, or name "
            "another with -c FILE."
        ) from None
    except UnicodeDecodeError:
        raise Misconfigured(f"The configuration file {path} is not UTF-8 text; save it as UTF-8.") from None
    except OSError as error:
        raise Misconfigured(
            f"The configuration file {path} cannot be read: {error.strerror}. Mend that, or name another "
            "with -c FILE."
        ) from None


def _document(tree: Tree, problems: Problems) -> Document | None:
    if problems.found and not tree.lines:
        return None
    if not isinstance(tree.value, dict):
        empty = tree.value is None
        words = "the file is empty; " if empty else "the file must hold keys with values; "
        problems.add((), f"{words}`listbridge init` writes a first one.")
        return None
    given = {key: {} if value is None and key in _MAPS else value for key, value in tree.value.items()}
    document = _validated(Document, given, (), problems)
    if document is None:
        faulty = {problem.place[:1] for problem in problems.found if len(problem.place) == 1}
        document = Document.model_validate({key: given[key] for key in given if (key,) not in faulty})
    _check_document(document, problems)
    return document


def _check_document(document: Document, problems: Problems) -> None:
    if document.version != "1" and not problems.is_noise(("version",)):
        problems.add(("version",), "must be 1; newer versions need a newer Listbridge.")
    if not _STORE.match(document.store) and not problems.is_noise(("store",)):
        problems.add(("store",), "must begin with sqlite:/// or postgresql://.")


def _validated(
    model: type[Model],
    given: Any,
    place: Place,
    problems: Problems,
    conceal: Callable[[str], str] | None = None,
) -> Model | None:
    try:
        return model.model_validate(given)
    except ValidationError as error:
        explain(error, model, place, problems, conceal)
    return None


class _Builder:
    """Makes the connections and syncs of one document."""

    def __init__(self, tree: Tree, problems: Problems, connectors: Lookup) -> None:
        self._tree = tree
        self._problems = problems
        self._connectors = connectors

    def connections(self, document: Document) -> dict[str, Connection]:
        """Those without a problem."""
        made = (self._connection(name, given) for name, given in document.connections.items())
        return {connection.name: connection for connection in made if connection is not None}

    def syncs(self, document: Document) -> dict[str, Sync]:
        """Those without a problem of their own."""
        made = ((name, self._sync(name, given)) for name, given in document.syncs.items())
        return {name: sync for name, sync in made if sync is not None}

    def _connection(self, name: str, given: Any) -> Connection | None:
        place: Place = ("connections", name)
        if not self._is_section(given, place):
            return None
        connector = self._connector(given.get("connector"), place)
        if connector is None:
            return None
        conceal = _concealing(self._tree, place, given)
        options = _validated(connector.options, given, place, self._problems, conceal)
        seconds = self._patience(given.get("retry_for"), connector, place)
        if options is None or seconds is None:
            return None
        return Connection(name, connector, options, seconds, _written(self._tree, place))

    def _connector(self, name: Any, place: Place) -> Connector | None:
        if self._problems.is_noise((*place, "connector")):
            return None
        if not isinstance(name, str) or not name:
            words = "this is missing: the name of a connector, as `listbridge connectors` lists them."
            self._problems.add((*place, "connector"), words)
            return None
        try:
            return self._connectors(name)
        except Misconfigured as error:
            self._problems.add((*place, "connector"), error.message)
            return None

    def _patience(self, given: Any, connector: Connector, place: Place) -> int | None:
        text = connector.options.model_fields["retry_for"].default if given is None else given
        try:
            return parse_duration(str(text))
        except ValueError as error:
            if not self._problems.is_noise((*place, "retry_for")):
                self._problems.add((*place, "retry_for"), f"{error}.")
            return None

    def _sync(self, name: str, given: Any) -> Sync | None:
        place: Place = ("syncs", name)
        if not self._is_section(given, place):
            return None
        kind = given.get("type")
        if kind is None:
            self._problems.add((*place, "type"), f"this is missing: {listed(SYNC_TYPES)}.")
            return None
        model = SYNC_TYPES.get(kind) if isinstance(kind, str) else None
        if model is None and self._problems.is_noise((*place, "type")):
            return None
        if model is None:
            words = f"must be {listed(SYNC_TYPES)}; {suggestion(str(kind), SYNC_TYPES)}"
            self._problems.add((*place, "type"), words)
            return None
        return cast("Sync | None", _validated(model, given, place, self._problems))

    def _is_section(self, given: Any, place: Place) -> bool:
        if _BAD_NAME.search(str(place[-1])):
            words = "a name must not be empty, hold a slash or begin with a dash."
            self._problems.add(place, words)
        if not isinstance(given, dict):
            self._problems.add(place, "must hold keys with values, each on a line of its own.")
        return isinstance(given, dict)


def _written(tree: Tree, place: Place) -> Any:
    """The value at a place as the file has it, references unresolved."""
    if place in tree.references:
        return tree.references[place].written
    value = tree.value
    for part in place:
        value = value[part]
    if isinstance(value, dict):
        return {key: _written(tree, (*place, key)) for key in value}
    if isinstance(value, list):
        return [_written(tree, (*place, number)) for number in range(len(value))]
    return value


def _references(tree: Tree, syncs: Mapping[str, Sync]) -> dict[Place, Reference]:
    """The references in syncs, each with the value that its sync gives back there."""
    inside = {place: found for place, found in tree.references.items() if place[0] == "syncs"}
    if not inside:
        return {}
    values = {name: plain(sync) for name, sync in syncs.items()}
    return {
        place: Reference(found.written, reduce(getitem, place[1:], cast("Any", values)))
        for place, found in inside.items()
    }


def _concealing(tree: Tree, place: Place, given: Mapping[str, Any]) -> Callable[[str], str]:
    """A function that takes out of a text whatever in these options may be secret."""
    secrets = {str(found.value) for at, found in tree.references.items() if at[: len(place)] == place}
    texts = {key: value for key, value in given.items() if isinstance(value, str)}
    secrets |= {value for key, value in texts.items() if _SECRET_OPTION.search(key)}
    secrets |= {found for value in texts.values() for found in _USERINFO.findall(value)}
    longest_first = sorted((secret for secret in secrets if len(secret) > 3), key=len, reverse=True)
    return lambda words: reduce(lambda text, secret: text.replace(secret, "…"), longest_first, words)


def _beside(folder: Path, store: str) -> str:
    """A relative SQLite path starts in the folder of the file."""
    match = _RELATIVE_SQLITE.fullmatch(store)
    return f"{match[1]}{folder / match[2]}{match[3]}" if match else store
