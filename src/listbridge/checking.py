"""`check`: each connection tried, with what it may do and what is missing. Writes nothing."""

from dataclasses import dataclass, field
from typing import Any

from listbridge.errors import ListbridgeError, Stop
from listbridge.session import Session


@dataclass(frozen=True, slots=True)
class Checked:
    """How one connection answered."""

    connection: str
    connector: str
    ok: bool
    can: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    error: dict[str, str] | None = None

    def line(self) -> dict[str, Any]:
        return {
            "connection": self.connection,
            "connector": self.connector,
            "ok": self.ok,
            "can": self.can,
            "missing": self.missing,
            "error": self.error,
        }


async def check(session: Session, name: str) -> Checked:
    """Try one connection, as source and as destination if it is both."""
    connector = session.config.connections[name].connector
    can: list[str] = []
    missing: list[str] = []
    try:
        for end in _ends(session, name):
            finding = await end.check()
            can += finding.can
            missing += finding.missing
    except Stop as stop:
        return Checked(
            name, connector.name, False, can, missing, {"kind": stop.kind, "message": stop.message}
        )
    except ListbridgeError as error:
        told = {"kind": "unreachable", "message": str(error)}
        return Checked(name, connector.name, False, can, missing, told)
    return Checked(name, connector.name, not missing, can, missing)


def _ends(session: Session, name: str) -> list[Any]:
    connector = session.config.connections[name].connector
    return [
        *([session.source(name)] if connector.source is not None else []),
        *([session.destination(name)] if connector.destination is not None else []),
    ]
