"""From what was typed to what is open: configuration, names of syncs, session."""

import os
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

from listbridge import rules
from listbridge.cli.output import Output
from listbridge.config import AudienceSync, Config, load
from listbridge.config.problems import suggestion
from listbridge.errors import Misconfigured
from listbridge.session import Session
from listbridge.store import targets
from listbridge.store.targets import Target


def configuration(asked: Namespace, out: Output) -> Config:
    """The configuration file, checked."""
    config = load(Path(asked.config), os.environ)
    out.keep_secret(config)
    return config


def chosen_syncs(config: Config, names: Sequence[str], out: Output) -> list[str]:
    """The audience syncs that were named, or all of them in the order of the file.

    Raises ``Misconfigured`` for a name that is not there, and for a sync of another type.
    """
    if names:
        return [one_sync(config, name) for name in dict.fromkeys(names)]
    found = [name for name, sync in config.syncs.items() if isinstance(sync, AudienceSync)]
    if not found:
        raise Misconfigured(f"{config.path} has no audience sync. Write one below `syncs`.")
    for name, sync in config.syncs.items():
        if name not in found:
            out.note(f"listbridge: {name} is left out: this version does not run {sync.type} syncs yet.")
    return found


def one_sync(config: Config, name: str) -> str:
    """The name of an audience sync. Raises ``Misconfigured`` with the nearest name that there is."""
    if name not in config.syncs:
        raise Misconfigured(f"There is no sync {name}; {suggestion(name, config.syncs)}")
    sync = config.syncs[name]
    if not isinstance(sync, AudienceSync):
        raise Misconfigured(f"{name} is a {sync.type} sync, which this version does not run yet.")
    return name


def chosen_connections(config: Config, names: Sequence[str]) -> list[str]:
    """The connections that were named, or all."""
    for name in names:
        if name not in config.connections:
            raise Misconfigured(f"There is no connection {name}; {suggestion(name, config.connections)}")
    return list(dict.fromkeys(names)) or list(config.connections)


def lanes(session: Session, name: str) -> list[Target]:
    """The audiences of a sync as the store knows them, in the order of the configuration."""
    sync = rules.audience_sync(session.config, name)
    with session.store.read() as connection:
        known = {target.place: target for target in targets.of_sync(connection, name)}
    return [known[place.key] for place in rules.places(sync) if place.key in known]
