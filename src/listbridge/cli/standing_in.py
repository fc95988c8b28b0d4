"""`sandbox`: platforms on this machine, to try things on."""

import importlib
import inspect
import pkgutil
from argparse import Namespace
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from listbridge import sandbox as sandboxes
from listbridge.cli import status
from listbridge.cli.output import Output
from listbridge.config.problems import suggestion
from listbridge.errors import Misconfigured
from listbridge.sandbox.base import CONTROL, Sandbox
from listbridge.sandbox.faults import DOINGS

HOST = "127.0.0.1"
LIST = "Newsletter"


def sandbox(asked: Namespace, out: Output) -> int:
    """Serve stand-ins until told to stop."""
    from listbridge.sandbox.serve import serve

    chosen = [made(name, asked.latency / 1000) for name in _chosen(asked.platforms)]
    try:
        serve(chosen, HOST, asked.port, lambda urls: _tell(chosen, urls, out))
    except OSError as error:
        raise Misconfigured(
            f"Port {asked.port} cannot be used: {error.strerror}. Take another with --port, or --port 0 for a free one."
        ) from error
    return status.DONE


def platforms() -> dict[str, type[Sandbox]]:
    """Every stand-in there is, by the name of its platform."""
    found = {}
    for module in pkgutil.iter_modules(sandboxes.__path__):
        if module.name not in ("base", "faults", "serve"):
            inside = vars(importlib.import_module(f"{sandboxes.__name__}.{module.name}")).values()
            found.update({each.name: each for each in inside if _is_platform(each)})
    return dict(sorted(found.items()))


def made(name: str, latency_seconds: float = 0.0) -> Sandbox:
    """A stand-in that can be used at once: an e-mail platform has a first, empty list."""
    made = platforms()[name](latency_seconds=latency_seconds)
    add_list = made.actions().get("add_list")
    if add_list is not None:
        add_list(LIST)
    return made


def _is_platform(each: Any) -> bool:
    return (
        inspect.isclass(each) and issubclass(each, Sandbox) and isinstance(getattr(each, "name", None), str)
    )


def _chosen(names: Sequence[str]) -> list[str]:
    known = platforms()
    for name in names:
        if name not in known:
            raise Misconfigured(f"There is no sandbox of {name}; {suggestion(name, known)}")
    return list(dict.fromkeys(names)) or list(known)


def _tell(chosen: Sequence[Sandbox], urls: Mapping[str, str], out: Output) -> None:
    control = _control(chosen, urls)
    for each in chosen:
        out.line(
            {"platform": each.name, "url": urls[each.name], "control": control[each.name], **_keys(each)}
        )
    for text in _words(chosen, urls, control):
        out.say(text)
    import sys

    sys.stdout.flush()


def _words(chosen: Sequence[Sandbox], urls: Mapping[str, str], control: Mapping[str, str]) -> Iterator[str]:
    yield "These stand-ins hold everything in memory and forget it when they end (Ctrl-C)."
    yield "Put this into listbridge.yaml to point at them:"
    yield ""
    yield "connections:"
    for each in chosen:
        yield f"  {each.name}:"
        yield f"    connector: {each.name}"
        yield f"    url: {urls[each.name]}"
        yield from (f"    {option}: {value}" for option, value in _keys(each).items())
    yield ""
    first = chosen[0]
    yield "Look inside, and see what people can do there by hand:"
    yield f"  curl {control[first.name]}"
    actions = first.actions()
    if "unsubscribe_by_person" in actions:
        given = f'{{"list_id": "{LIST}", "email": "anna@post.example"}}'
        yield f"  curl -X POST {control[first.name]}unsubscribe_by_person -d '{given}'"
    yield "Let something go wrong, and right again:"
    rule = '{"do": "503", "when": {"method": "POST", "every": 3, "times": 5}}'
    yield f"  curl -X POST {control[first.name]}faults -d '{rule}'"
    yield f"  curl -X DELETE {control[first.name]}faults"
    yield "What can go wrong:"
    yield from (f"  {name:<12} {words}" for name, words in DOINGS.items())


def _control(chosen: Sequence[Sandbox], urls: Mapping[str, str]) -> dict[str, str]:
    """Where each stand-in is controlled."""
    root = "/".join(next(iter(urls.values())).split("/")[:3])
    several = len(chosen) > 1
    return {each.name: f"{root}{CONTROL}/" + (f"{each.name}/" if several else "") for each in chosen}


def _keys(each: Sandbox) -> dict[str, str]:
    """What opens the stand-in, as options of a connection."""
    keys: Any = getattr(each, "keys", None)
    if isinstance(keys, Mapping) and keys:
        return {"api_key": str(next(iter(keys)))}
    key = getattr(each, "key", None)
    return {"api_key": key} if isinstance(key, str) else {}
