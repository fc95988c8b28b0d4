"""The command ``listbridge``: finds the function behind a command and tells how it ended."""

import gc
import importlib
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any, NoReturn

from listbridge.cli import status
from listbridge.cli.arguments import parsed, parser
from listbridge.errors import ListbridgeError, Stop

_INTERRUPTED = "Interrupted. What was done is written down; the next run goes on from there."


def command_line() -> NoReturn:
    """The command as a process of its own: :func:`main`, set up for a short life."""
    gc.set_threshold(50_000, 20, 50)  # a run makes millions of small objects and hardly a cycle
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "1")  # looking for them reads every package there is
    found = main()
    with suppress(OSError):
        sys.stdout.flush()
    sys.stderr.flush()
    os._exit(found)  # taking thousands of classes apart would take longer than many a run


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; gives back its exit status. Never raises, but for ``--help``."""
    words = list(sys.argv[1:] if argv is None else argv)
    teller = _Teller(json="--json" in words)
    try:
        with _polite_end():
            return _run(words, teller)
    except KeyboardInterrupt:
        teller.note(_INTERRUPTED)
        return status.INTERRUPTED
    except BrokenPipeError:
        return _without_reader()
    except Stop as stop:
        return teller.stopped(stop.kind, stop.message)
    except ListbridgeError as error:
        return teller.stopped("unreachable", str(error))
    except Exception as error:  # noqa: BLE001 - the last resort: a sentence instead of a traceback
        return teller.unexpected(error)


def _run(words: Sequence[str], teller: "_Teller") -> int:
    asked = parsed(words)
    if asked.version:
        from importlib.metadata import version

        sys.stdout.write(f"listbridge {version('listbridge')}\n")
        return status.DONE
    if asked.command is None:
        parser().print_help()
        return status.MISCONFIGURED
    from listbridge.cli.output import Output

    module, _, name = asked.calls.partition(":")
    command: Callable[[Any, Any], int] = getattr(importlib.import_module(module), name)
    teller.output = Output(json=asked.json)
    found = command(asked, teller.output)
    sys.stdout.flush()
    return found


@contextmanager
def _polite_end() -> Iterator[None]:
    """A request to end (SIGTERM) is taken like Ctrl-C, wherever signals may be set."""
    try:
        before = signal.signal(signal.SIGTERM, _interrupt)
    except ValueError:  # not the main thread
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _interrupt(_number: int, frame: FrameType | None) -> None:
    """Whoever waits for Ctrl-C gets it; in the background, where shells switch it off, we raise it."""
    waiting = signal.getsignal(signal.SIGINT)
    if callable(waiting):
        waiting(signal.SIGINT, frame)
    else:
        raise KeyboardInterrupt


def _without_reader() -> int:
    """Whoever read our output has gone (``| head``): nothing is left to say."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return status.DONE


class _Teller:
    """Tells errors, in JSON where that was asked for."""

    def __init__(self, *, json: bool) -> None:
        self._json = json
        self.output: Any = None  # as soon as there is one

    def note(self, text: str) -> None:
        sys.stdout.flush()
        sys.stderr.write(text + "\n")

    def stopped(self, kind: str, message: str) -> int:
        self._tell(kind, message)
        return status.of_error(kind)

    def unexpected(self, error: Exception) -> int:
        name = type(error).__name__
        debug = bool(os.environ.get("LISTBRIDGE_DEBUG"))
        if debug:
            self.note(self._traceback(error))
        more = "" if debug else " Set LISTBRIDGE_DEBUG=1 and run it again to see where it happened."
        self._tell("unexpected", f"Something happened that Listbridge did not expect ({name}).{more}")
        return status.FAILED

    def _tell(self, kind: str, message: str) -> None:
        if self._json:
            import orjson

            line = {"state": "stopped", "error": {"kind": kind, "message": message}}
            sys.stdout.write(orjson.dumps(line).decode() + "\n")
        self.note(f"listbridge: {message}")

    def _traceback(self, error: Exception) -> str:
        import traceback

        text = "".join(traceback.format_exception(error))
        from listbridge.cli.output import Output

        return (self.output or Output(json=False)).without_secrets(text)
