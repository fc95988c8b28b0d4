"""Every command with its arguments. Nothing heavy is imported here: each command names its function."""

import argparse
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from listbridge.errors import Misconfigured

Adds = Callable[[argparse.ArgumentParser], None]

DEFAULT_FILE = "listbridge.yaml"
ROW_NAMES = ("created", "updated", "removed", "unchanged", "skipped", "rejected")
_OBJECTS = ("customers", "products", "orders", "carts", "promotions")
_COMMANDS = ("command", "action")
_CHOICE = re.compile(r"invalid choice: '([^']*)' \(choose from (.*)\)")


@dataclass(frozen=True, slots=True)
class Command:
    """One command: ``does`` is its help, ``calls`` the module and function behind it."""

    name: str
    does: str
    calls: str
    adds: Adds = lambda _parser: None
    needs_file: bool = True


class Parser(argparse.ArgumentParser):
    """Tells a wrong command line as an error of ours, with the nearest word that there is.

    ``options``, ``places`` and ``commands`` are what the reference page is made from.
    """

    @property
    def options(self) -> list[argparse.Action]:
        return [one for one in self._actions if one.option_strings and one.dest != "help"]

    @property
    def places(self) -> list[argparse.Action]:
        return [one for one in self._actions if not one.option_strings and one.dest not in _COMMANDS]

    @property
    def commands(self) -> "dict[str, Parser]":
        return next((dict(one.choices or ()) for one in self._actions if one.dest in _COMMANDS), {})

    def error(self, message: str) -> NoReturn:
        raise Misconfigured(f"{_nearer(message)} (see `{self.prog} --help`)")


def _nearer(message: str) -> str:
    found = _CHOICE.search(message)
    if found is None:
        return message[0].upper() + message[1:] + "."
    import difflib

    known = [name.strip(" '") for name in found[2].split(",")]
    near = difflib.get_close_matches(found[1], known, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]}?" if near else f"there is {', '.join(known)}."
    return f"{found[1]} is not known here; {hint}"


def parser() -> Parser:
    """The whole command line."""
    root = Parser(
        prog="listbridge",
        description="Keeps the customers of a shop or CRM and the lists of an e-mail platform in step.",
        epilog="Begin with `listbridge demo`, which needs no account, or with `listbridge init`.",
        allow_abbrev=False,
    )
    root.add_argument("--version", action="store_true", help="say which version this is")
    _everywhere(root, default=None)
    commands = root.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    for command in COMMANDS:
        own = commands.add_parser(
            command.name, help=command.does, description=_sentence(command.does), allow_abbrev=False
        )
        _everywhere(own, default=argparse.SUPPRESS)
        command.adds(own)
        own.set_defaults(calls=command.calls)
    return root


def parsed(argv: Sequence[str]) -> argparse.Namespace:
    """The command line as values; ``-c`` and ``--json`` may stand before or after the command."""
    return parser().parse_args(argv)


def _everywhere(to: argparse.ArgumentParser, default: Any) -> None:
    to.add_argument(
        "-c",
        "--config",
        metavar="FILE",
        default=DEFAULT_FILE if default is None else default,
        help=f"the configuration file; {DEFAULT_FILE} if left out",
    )
    to.add_argument(
        "--json",
        action="store_true",
        default=False if default is None else default,
        help="print JSON only, one object a line",
    )


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:] + "."


# --- what single commands take -----------------------------------------------------------------------


def _syncs(to: argparse.ArgumentParser) -> None:
    to.add_argument(
        "syncs",
        nargs="*",
        metavar="SYNC",
        help="names of syncs; all audience syncs, in file order, if left out",
    )


def _reading(to: argparse.ArgumentParser) -> None:
    to.add_argument("--full", action="store_true", help="read everything anew on both sides")
    to.add_argument(
        "--objects",
        metavar="A,B",
        type=_names(_OBJECTS),
        help="only these types of a commerce sync (audience syncs have none)",
    )


def _plan(to: argparse.ArgumentParser) -> None:
    _syncs(to)
    _reading(to)
    _shown(to)
    to.add_argument(
        "--out", metavar="FILE", help="write the plan as JSON to this file, one line for each sync"
    )
    to.add_argument(
        "--detailed-exitcode",
        action="store_true",
        help="exit status 0: nothing to change, 1: failed, 6: there are changes",
    )


def _shown(to: argparse.ArgumentParser) -> None:
    to.add_argument(
        "--limit",
        metavar="N",
        type=_whole,
        help="list so many people for each reason, 10 if left out; with --json so many in all, everybody if left out",
    )


def _run(to: argparse.ArgumentParser) -> None:
    _syncs(to)
    _reading(to)
    _approving(to)


def _approving(to: argparse.ArgumentParser) -> None:
    to.add_argument(
        "--approve",
        metavar="PLAN",
        help="let the plan with this id through its guard, if it is still the same",
    )


def _report(to: argparse.ArgumentParser) -> None:
    to.add_argument("run", nargs="?", metavar="RUN", help="id of a run; the last one if left out")
    to.add_argument(
        "--rows",
        metavar="NAME",
        choices=ROW_NAMES,
        help=f"list the people who were counted as {', '.join(ROW_NAMES[:-1])} or {ROW_NAMES[-1]}",
    )


def _explain(to: argparse.ArgumentParser) -> None:
    _one_sync(to)
    to.add_argument("email", metavar="EMAIL", help="the person's address")


def _one_sync(to: argparse.ArgumentParser) -> None:
    to.add_argument("sync", metavar="SYNC", help="name of a sync")


def _undo(to: argparse.ArgumentParser) -> None:
    to.add_argument("run", metavar="RUN", help="id of the run to take back, as run and report show it")
    to.add_argument("--apply", action="store_true", help="carry the plan out; without it, it is only shown")
    _approving(to)
    _shown(to)


def _check(to: argparse.ArgumentParser) -> None:
    to.add_argument(
        "connections", nargs="*", metavar="CONNECTION", help="names of connections; all if left out"
    )


def _init(to: argparse.ArgumentParser) -> None:
    to.add_argument("--connector", metavar="A", help="connector of the shop, CRM, database or files")
    to.add_argument("--to", metavar="B", help="connector of the e-mail platform")
    _force(to)


def _force(to: argparse.ArgumentParser) -> None:
    to.add_argument("--force", action="store_true", help="overwrite the configuration file if it is there")


def _connectors(to: argparse.ArgumentParser) -> None:
    to.add_argument(
        "names", nargs="*", metavar="NAME", help="tell all about these; a table of all if left out"
    )


def _sandbox(to: argparse.ArgumentParser) -> None:
    to.add_argument("platforms", nargs="*", metavar="PLATFORM", help="which platforms; all if left out")
    to.add_argument(
        "--port", metavar="N", type=_port, default=8099, help="port on 127.0.0.1; 8099 if left out"
    )
    to.add_argument(
        "--latency", metavar="MS", type=_whole, default=0, help="milliseconds that each answer takes longer"
    )


def _demo(to: argparse.ArgumentParser) -> None:
    to.add_argument("--fast", action="store_true", help="a shop of 2,000 people instead of all")
    to.add_argument("--size", metavar="N", type=_size, help="a shop of so many people")
    to.add_argument("--keep", metavar="DIR", help="keep everything in this folder, to look around afterwards")


def _config(to: argparse.ArgumentParser) -> None:
    actions = to.add_subparsers(dest="action", metavar="ACTION", title="actions", required=True)
    for name, does in _CONFIG.items():
        own = actions.add_parser(name, help=does, description=_sentence(does), allow_abbrev=False)
        _everywhere(own, default=argparse.SUPPRESS)
        if name == "import":
            own.add_argument("file", metavar="FILE", help="the file to read")
            _force(own)
        else:
            own.add_argument("--out", metavar="FILE", help="write to this file instead of standard output")


_CONFIG = {
    "export": "write the configuration in its plain form: everything that was said, in one order, no comments",
    "import": "check a file and, if it is in order, write its plain form as the configuration file",
}


# --- values ------------------------------------------------------------------------------------------


def _whole(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text} is not a whole number")
    return int(text)


def _size(text: str) -> int:
    found = _whole(text)
    if found < 100:
        raise argparse.ArgumentTypeError("a shop for the demo needs at least 100 people")
    return found


def _port(text: str) -> int:
    found = _whole(text)
    if found > 65_535:
        raise argparse.ArgumentTypeError(f"{text} is not a port; 0 takes a free one")
    return found


def _names(known: Iterable[str]) -> Callable[[str], tuple[str, ...]]:
    def split(text: str) -> tuple[str, ...]:
        names = tuple(name.strip() for name in text.split(",") if name.strip())
        wrong = [name for name in names if name not in known]
        if wrong or not names:
            raise argparse.ArgumentTypeError(
                f"{', '.join(wrong) or 'nothing'} is not one of {', '.join(known)}"
            )
        return names

    return split


_HERE = "listbridge.cli"

COMMANDS: tuple[Command, ...] = (
    Command(
        "demo",
        "start sandbox platforms, fill them, keep them in step and show it; needs no account",
        "listbridge.demo.show:demo",
        _demo,
        needs_file=False,
    ),
    Command(
        "init",
        "write a first configuration; asks, unless --connector and --to say it",
        f"{_HERE}.setting_up:init",
        _init,
    ),
    Command(
        "check",
        "try each connection and say what it may do and what is missing; writes nothing",
        f"{_HERE}.asking:check",
        _check,
    ),
    Command(
        "plan", "show what would change and why; writes nothing anywhere", f"{_HERE}.syncing:plan", _plan
    ),
    Command("run", "read, plan, check the guards, apply, report", f"{_HERE}.syncing:run", _run),
    Command("report", "show what a run did", f"{_HERE}.reporting:report", _report),
    Command("explain", "say why a person is or is not in an audience", f"{_HERE}.asking:explain", _explain),
    Command("drift", "show what somebody changed at the destination", f"{_HERE}.asking:drift", _one_sync),
    Command(
        "undo",
        "show a plan that puts back what a run changed, and with --apply carry it out",
        f"{_HERE}.syncing:undo",
        _undo,
    ),
    Command(
        "sandbox",
        "run local stand-ins for the platforms, with faults on demand",
        f"{_HERE}.standing_in:sandbox",
        _sandbox,
        needs_file=False,
    ),
    Command(
        "connectors",
        "list every connector: what it can do, how it was verified, what is unsure",
        f"{_HERE}.setting_up:connectors",
        _connectors,
        needs_file=False,
    ),
    Command(
        "schema",
        "print the JSON Schema of the configuration file, for editors",
        f"{_HERE}.setting_up:schema",
        needs_file=False,
    ),
    Command(
        "config",
        "export the configuration in its plain form, or import one from another file",
        f"{_HERE}.setting_up:config",
        _config,
    ),
)
