"""Files that are there whole or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from listbridge.errors import Misconfigured


@contextmanager
def written_whole(path: Path) -> Iterator[IO[str]]:
    """A text file that takes the place of ``path`` once everything is in it."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        file = unfinished.open("w", encoding="utf-8")
    except OSError as error:
        raise Misconfigured(f"{path} cannot be written: {error.strerror}. Name another file.") from error
    try:
        with file:
            yield file
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def refuse_overwriting(path: Path, *, force: bool) -> None:
    """A file of a person is never overwritten unasked."""
    if path.exists() and not force:
        raise Misconfigured(
            f"{path} is there already. Name another with -c FILE, or overwrite it with --force."
        )
