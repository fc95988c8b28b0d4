"""YAML to plain values, with the line of each and the environment put in.

Numbers stay text as written, so that a list id ``0123`` or ``57e96172`` keeps its digits; the models
make numbers where they want numbers. Only ``true``, ``false`` and ``null`` (also ``~`` or nothing) are
special.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from listbridge.config.models import Reference
from listbridge.config.problems import Place, Problems

_LITERALS = {
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
    "null": None, "Null": None, "NULL": None, "~": None, "": None,
}  # fmt: skip
_REFERENCE = re.compile(r"\$\$\{|\$\{([^}]*)\}|\$\{")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_DEEPEST = 50
_MOST = 100_000


@dataclass(slots=True)
class Tree:
    """The values of a file and what is known about them."""

    value: Any = None
    lines: dict[Place, int] = field(default_factory=dict)
    references: dict[Place, Reference] = field(default_factory=dict)


def read_yaml(text: str, environ: Mapping[str, str]) -> tuple[Tree, Problems]:
    """The file's values. Faults of the text itself are in the problems; what could be read is there."""
    tree = Tree()
    problems = Problems(tree.lines)
    try:
        node = yaml.compose(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except yaml.MarkedYAMLError as error:
        problems.add((), f"this is no valid YAML: {_yaml_words(error)}.", _yaml_line(error))
        return tree, problems
    except yaml.YAMLError as error:
        problems.add((), f"this is no valid YAML: {error}.")
        return tree, problems
    if node is not None:
        tree.value = _Reader(tree, problems, environ).value(node, ())
    return tree, problems


def _yaml_words(error: yaml.MarkedYAMLError) -> str:
    words = error.problem or error.context or "it cannot be read"
    if "found character '\\t'" in words:
        return "a line begins with a tab; use spaces"
    return words


def _yaml_line(error: yaml.MarkedYAMLError) -> int | None:
    mark = error.problem_mark or error.context_mark
    return mark.line + 1 if mark is not None else None


class _Reader:
    def __init__(self, tree: Tree, problems: Problems, environ: Mapping[str, str]) -> None:
        self._tree = tree
        self._problems = problems
        self._environ = environ
        self._read = 0

    def value(self, node: yaml.Node, place: Place) -> Any:
        line = node.start_mark.line + 1
        self._tree.lines.setdefault(place, line)
        self._read += 1
        if len(place) > _DEEPEST or self._read > _MOST:
            self._problems.add(place[:1], "this is nested too deeply or too long.", line)
            return None
        if not node.tag.startswith("tag:yaml.org,2002:"):
            self._problems.add(place, f"the YAML tag {node.tag} is not understood; leave it out.", line)
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, place)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(child, (*place, number)) for number, child in enumerate(node.value)]
        quoted = isinstance(node, yaml.ScalarNode) and bool(node.style)
        return self._scalar(str(node.value), quoted, place)

    def _mapping(self, node: yaml.MappingNode, place: Place) -> dict[str, Any]:
        values: dict[str, Any] = {}
        first_lines: dict[str, int] = {}
        for key_node, child in node.value:
            key = key_node.value.strip() if isinstance(key_node, yaml.ScalarNode) else None
            line = key_node.start_mark.line + 1
            if key is None:
                self._problems.add(place, "a key must be plain text.", line)
            elif key == "<<":
                self._problems.add(place, "<< is not understood; write the keys out.", line)
            elif key in first_lines:
                words = f"this key stands here twice, first in line {first_lines[key]}; keep one."
                self._problems.add((*place, key), words, line)
            else:
                first_lines[key] = self._tree.lines[*place, key] = line
                values[key] = self.value(child, (*place, key))
        return values

    def _scalar(self, text: str, quoted: bool, place: Place) -> Any:
        if not quoted and text in _LITERALS:
            return _LITERALS[text]
        if "${" not in text:
            return text
        resolved = _REFERENCE.sub(lambda match: self._filled(match, place), text)
        self._tree.references[place] = Reference(text, resolved)
        return resolved

    def _filled(self, match: re.Match[str], place: Place) -> str:
        if match[0] == "$${":
            return "${"
        name = match[1]
        if name is None or not _NAME.fullmatch(name):
            words = f"{match[0]} names no environment variable; write ${{NAME}}, or $${{ for a plain ${{."
            self._problems.add(place, words)
        elif name in self._environ:
            return self._environ[name]
        else:
            words = f"the environment variable {name} is not set; set it, or write the value here."
            self._problems.add(place, words)
        self._problems.unresolved.add(place)
        return match[0]
