"""What can be told of an SQL statement by reading it: that it is one, that it reads, what it asks for.

A first line of defence with a clear sentence; the database's own read-only transaction is the second.
"""

import re

WRITE_PARAMETERS = ("id", "email", "at", "reason")
READING_WORDS = frozenset({"SELECT", "WITH", "VALUES", "TABLE", "FROM", "SHOW", "EXEC", "EXECUTE", "CALL"})

_COMMENT_OR_QUOTED = re.compile(
    r"""
    (?P<comment> --[^\n]* | /\*.*?\*/ )
    | '(?:[^']|'')*'
    | "(?:[^"]|"")*"
    | `[^`]*`
    | \$(?P<tag>\w*)\$ .*? \$(?P=tag)\$
    """,
    re.DOTALL | re.VERBOSE,
)
_WRITES = re.compile(
    r"\binto\b | \bdelete\s+from\b | \bupdate\s+\S+\s+set\b | \bfor\s+(?:no\s+key\s+)?update\b",
    re.IGNORECASE | re.VERBOSE,
)
_PARAMETER = re.compile(r"(?<![:\w\\]):(\w+)(?!:)")
_END = "; \t\r\n"


def reading(statement: str) -> str:
    """The one statement, if it reads. Raises ``ValueError`` with what is wrong."""
    single = _single(statement)
    if first_word(single) not in READING_WORDS or _WRITES.search(_bare(single)):
        raise ValueError("does not read, or does more than that; write a SELECT that gives the rows")
    return single


def writing(statement: str) -> str:
    """The one statement, if it uses no parameter but ours. Raises ``ValueError`` with what is wrong."""
    single = _single(statement)
    unknown = sorted(parameters(single) - set(WRITE_PARAMETERS))
    if unknown:
        raise ValueError(f"uses :{unknown[0]}; there are :id, :email, :at and :reason")
    return single


def parameters(statement: str) -> set[str]:
    """What SQLAlchemy takes for parameters, in quoted text too."""
    return set(_PARAMETER.findall(statement))


def first_word(statement: str) -> str:
    """In capitals, behind comments and brackets."""
    found = re.match(r"[\s(]*(\w+)", _bare(statement))
    return found[1].upper() if found else ""


def _single(statement: str) -> str:
    bare = _bare(statement).strip(_END)
    if not bare:
        raise ValueError("is empty; leave the option out instead")
    if ";" in bare:
        raise ValueError("holds more than one statement; only one is run, so take out the others")
    return statement.rstrip(_END)


def _bare(statement: str) -> str:
    """Without comments, and with every quoted text emptied."""
    return _COMMENT_OR_QUOTED.sub(lambda found: " " if found["comment"] else "''", statement)
