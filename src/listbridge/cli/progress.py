"""The progress bar. Imported only where a person watches a terminal: rich takes its time."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn


@contextmanager
def bar(title: str) -> Iterator[Callable[[str, int], None]]:
    """Shows one line for each stage, with how many are done."""
    columns = (
        SpinnerColumn(),
        TextColumn(f"{title}: {{task.description}}"),
        TextColumn("{task.completed:,.0f}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        stages = {}

        def told(stage: str, done: int) -> None:
            if stage not in stages:
                stages[stage] = shown.add_task(stage, total=None)
            shown.advance(stages[stage], done)

        yield told
