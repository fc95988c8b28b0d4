"""`listbridge demo`: a shop and a platform kept in step, before your eyes and checked as it goes."""

import asyncio
import tempfile
import threading
import time
from argparse import Namespace
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path

from listbridge.cli import status, telling
from listbridge.cli.asking import explained
from listbridge.cli.output import Output, many, number, table
from listbridge.cli.syncing import say_plan
from listbridge.config import load
from listbridge.demo import day, shop
from listbridge.demo.stage import Stage, build, configure
from listbridge.drift import drift
from listbridge.errors import Misconfigured
from listbridge.explain import explain
from listbridge.report import Summary
from listbridge.run import Wish, run_sync
from listbridge.sandbox.serve import running
from listbridge.session import Session

SYNCS = ("customers", "club")
FAST = shop.GENERATED_SIZE
SAMPLES = 3
NOWHERE = "http://mailchimp.example"  # the platform is met inside this process, unless it is kept


class Broken(Exception):
    """The demo saw something that must never happen."""


def demo(asked: Namespace, out: Output) -> int:
    """Play the demo; exit status 1 if what it checks does not hold."""
    began = time.monotonic()
    with _folder(asked.keep) as folder:
        stage = build(folder, asked.size or (FAST if asked.fast else None))
        with running(stage.platform) if asked.keep else nullcontext() as urls:
            configure(stage, urls[stage.platform.name] if urls else f"{NOWHERE}{stage.platform.base_path}")
            try:
                asyncio.run(_Play(stage, out, served=bool(urls)).all())
            except Broken as broken:
                out.line({"step": "failed", "faults": str(broken).splitlines()})
                out.note(f"The demo failed:\n{broken}")
                return status.FAILED
            seconds = time.monotonic() - began
            out.line({"step": "done", "seconds": round(seconds, 1)})
            out.say(f"\nAll of this was checked as it went. It took {seconds:.0f} seconds.")
            if urls:
                _stay(stage, urls[stage.platform.name], out)
    return status.DONE


@contextmanager
def _folder(keep: str | None) -> Iterator[Path]:
    if keep is None:
        with tempfile.TemporaryDirectory(prefix="listbridge-demo-") as folder:
            yield Path(folder)
        return
    kept = Path(keep)
    if kept.exists() and (not kept.is_dir() or any(kept.iterdir())):
        raise Misconfigured(f"{keep} is there already. Name a folder that is new or empty with --keep.")
    kept.mkdir(parents=True, exist_ok=True)
    yield kept


def _stay(stage: Stage, url: str, out: Output) -> None:
    """Keep the platform up, so that people can look around."""
    control = url.replace(stage.platform.base_path, "/__sandbox__/")
    out.line({"step": "kept", "folder": str(stage.folder), "url": url, "control": control})
    for text in (
        "",
        f"Everything is kept in {stage.folder}, and the platform stays up until you press Ctrl-C. Try:",
        f"  cd {stage.folder}",
        "  listbridge plan",
        "  listbridge report --rows updated",
        f"  curl -X POST {control}unsubscribe_by_person -d "
        '\'{"list_id": "Newsletter", "email": "stranger@elsewhere.example"}\'',
        "  listbridge drift customers",
        "  listbridge run",
    ):
        out.say(text)
    threading.Event().wait()


class _Play:
    """The demo, act by act. Three times everything is opened anew, as separate commands would."""

    def __init__(self, stage: Stage, out: Output, *, served: bool) -> None:
        self.stage, self.out = stage, out
        self._transports = {} if served else {stage.platform.name: stage.platform.transport()}

    async def all(self) -> None:
        self.introduce()
        async with self.session() as session:
            await self.plan(session, "2. The plan: what would change and why. Nothing is written.", "plan")
            await self.run(session, "3. The first run", "first run")
        today = self.live()
        async with self.session() as session:
            await self.drift(session)
            await self.plan(session, "6. The plan for today: only the difference", "plan of the day")
            await self.run_of_the_day(session, today)
            await self.explain(session, today)
        async with self.session() as session:
            await self.run_again(session)

    # --- acts ---

    def introduce(self) -> None:
        facts = self.stage.facts
        self.out.line(
            {
                "step": "shop",
                "people": facts.people,
                "real": facts.real,
                "kinds": facts.kinds,
                "consent": facts.consent,
            }
        )
        self.title("1. A shop and an e-mail platform")
        self.out.say(f"  {facts.words}")
        self.say_table("people", {"in the shop": facts.people, **facts.kinds, "guests": facts.guests})
        self.say_table("newsletter", facts.consent)
        self.say_table("segments", facts.segments)
        self.out.say(
            "  The platform is a stand-in for Mailchimp on this machine, reached over HTTP. It has a list,"
        )
        self.out.say(
            "  Newsletter, with 13 people on it, 4 of them unsubscribed; and a list Club with double opt-in."
        )

    async def plan(self, session: Session, title: str, step: str) -> None:
        self.title(title)
        for name in SYNCS:
            with self.out.progress(name) as told:
                summary = await run_sync(session, name, Wish(acts=False), told)
            self.told(summary, step)
            if not self.out.json:
                say_plan(session, summary, SAMPLES, f"listbridge run {name}", self.out)

    async def run(self, session: Session, title: str, step: str) -> list[Summary]:
        self.title(title)
        summaries = []
        for name in SYNCS:
            with self.out.progress(name) as told:
                summaries.append(await run_sync(session, name, Wish(), told))
            self.told(summaries[-1], step)
            for text in telling.run(summaries[-1].line(), f"listbridge run {name}"):
                self.out.say(text)
        return summaries

    def live(self) -> day.Day:
        self.title("4. A day goes by")
        today = day.live(self.stage)
        for sentence in today.sentences():
            self.out.say(f"  {sentence}")
        return today

    async def drift(self, session: Session) -> None:
        self.title("5. What somebody changed at the platform")
        found = [line async for line in drift(session, SYNCS[0])]
        rows = [(one["email"], one["what"], f"{one['ours']} → {one['theirs'] or '—'}") for one in found]
        for one in found:
            self.out.line({"step": "drift", **one})
        for text in table(rows):
            self.out.say(text)

    async def run_of_the_day(self, session: Session, today: day.Day) -> None:
        summaries = await self.run(session, "7. The second run: only the difference travels", "second run")
        self.require(list(day.faults(self.stage, today)))
        sent = sum(one.counts[what] for one in summaries for what in ("created", "updated", "removed"))
        self.require([f"{sent} people travelled, many more than changed"] if sent > 2 * day.EDITS else [])
        left = len(today.left)
        self.out.say(
            f"  Checked at the platform: {number(sent)} people travelled, of {number(self.stage.facts.people)}."
        )
        self.out.say("  Checked at the platform: nobody who had left came back.")
        self.out.say(f"  Checked in the shop's database: the {many(left, 'unsubscribe')} arrived there.")

    async def explain(self, session: Session, today: day.Day) -> None:
        self.title(f"8. Why is {today.left[0]} not mailed any more?")
        for one in explain(session, SYNCS[0], today.left[0]):
            self.out.line({"step": "explain", **one.line()})
            for text in explained(one):
                self.out.say(text)

    async def run_again(self, session: Session) -> None:
        summaries = await self.run(session, "9. The third run: nothing to do", "third run")
        self.require(
            [
                f"{one.sync}: nothing was to do, and it took {one.calls.read} reads and {one.calls.write} writes"
                for one in summaries
                if one.has_changes or one.calls.write or one.calls.read > 1
            ]
        )

    # --- small things ---

    def session(self) -> Session:
        return Session(load(self.stage.file, {}), transports=self._transports)

    def told(self, summary: Summary, step: str) -> None:
        self.out.line({"step": step, **summary.line()})
        if summary.state != "done":
            words = (summary.error or {}).get("message") or f"the guard {summary.guard} tripped"
            raise Broken(f"{summary.sync}: {words}")

    def require(self, faults: Sequence[str]) -> None:
        if faults:
            raise Broken("\n".join(f"  {fault}" for fault in faults))

    def title(self, text: str) -> None:
        self.out.say()
        self.out.say(text)
        self.out.say()

    def say_table(self, title: str, figures: dict[str, int] | object) -> None:
        assert isinstance(figures, dict)
        words = ", ".join(f"{name} {number(value)}" for name, value in figures.items())
        self.out.say(f"  {title}: {words}")
