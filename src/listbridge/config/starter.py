"""The first configuration, as `listbridge init` writes it."""

import re
from collections.abc import Callable, Iterable, Mapping

import yaml
from pydantic import ValidationError
from pydantic.fields import FieldInfo

from listbridge.connectors.base import Connector, Options
from listbridge.connectors.registry import connector_named
from listbridge.errors import Misconfigured

_GENERAL = frozenset(Options.model_fields)
_SECRET = re.compile(r"key|secret|token|password", re.IGNORECASE)
_ALTERNATIVES = (
    ("api_key",), ("url", "access_token"), ("access_token",), ("client_id", "client_secret"),
    ("url",), ("path",), ("feed",), ("path", "contacts"), ("url", "contacts"),
)  # fmt: skip
"""Options that make an account where the connector leaves the choice, likeliest first."""

_SAMPLES = ("sample-sample-us1", "https://sample.example", "sqlite:///sample.db", "1")

_SYNC = """\
syncs:
  newsletter-subscribers:
    type: audience                # audience | commerce | campaigns
    source: {source}
    destination: {destination}
    select:                       # a union of what is named
      kinds: [subscriber]         # subscriber, buyer, contact; or groups, segments; or everyone: true
    audience:
      list: Newsletter            # id or exact name of the list there
      # create: true              # make the list if it is missing
    mode: merge                   # merge adds; exact also removes whoever is not selected; subtract takes out
    # fields:                     # what is sent: destination field: source field
    #   FNAME: first_name
    # kind_tags: true             # tags like Shopify-Buyer, where the destination has tags
    schedule: every 4h            # s, m, h, d; cron: "0 */4 * * *"; none = by hand
"""


def starter(source: str, destination: str, connectors: Callable[[str], Connector] = connector_named) -> str:
    """The text of a first ``listbridge.yaml``, valid once the variables it names are set."""
    shop, mail = connectors(source), connectors(destination)
    if shop.source is None:
        raise Misconfigured(f"{shop.title} can only be written to; name a shop, CRM, database or file first.")
    if mail.destination is None:
        raise Misconfigured(f"{mail.title} can only be read; name an e-mail platform as the second.")
    needed = sorted({*_variables(shop), *_variables(mail)})
    lines = [
        "# Customers of a shop or CRM into the lists of an e-mail platform.",
        "# All keys with their meaning: listbridge schema. Try it: listbridge check, then listbridge plan.",
    ]
    if needed:
        lines.append(f"# Set these environment variables first: {', '.join(needed)}")
    lines += ["version: 1", "", "connections:", *_connection("shop", shop)]
    lines += [*_connection("newsletter", mail), "", _SYNC.format(source="shop", destination="newsletter")]
    return "\n".join(lines)


def _variables(connector: Connector) -> Iterable[str]:
    values = _values(connector).values()
    return [value[2:-1] for value in values if value.startswith("${")]


def _connection(name: str, connector: Connector) -> list[str]:
    lines = [f"  {name}:", _line(f"    connector: {connector.name}", connector.title)]
    values = _values(connector)
    fields = connector.options.model_fields
    lines += [_line(f"    {_pair(key, values[key])}", fields[key].description) for key in values]
    others = {key: field for key, field in fields.items() if key not in values and key != "connector"}
    lines += [_line(f"    # {key}:", _help(field)) for key, field in others.items()]
    return lines


def _pair(key: str, value: str) -> str:
    return f"{key}: {value}" if value.startswith("${") else yaml.safe_dump({key: value}, width=10_000).strip()


def _line(code: str, comment: str | None) -> str:
    return f"{code:<33} # {comment}" if comment else code


def _help(field: FieldInfo) -> str | None:
    shown = field.default if isinstance(field.default, str | int) else None
    return f"{field.description} Default: {shown}" if shown and field.description else field.description


def _values(connector: Connector) -> Mapping[str, str]:
    """The options that must be there, each with an example or the variable that holds it."""
    fields = connector.options.model_fields
    keys = [key for key, field in fields.items() if field.is_required() and key not in _GENERAL]
    chosen = next((more for more in ((), *_ALTERNATIVES) if _makes_options(connector, {*keys, *more})), ())
    if not any(_SECRET.search(key) for key in (*keys, *chosen)) and "api_key" in fields:
        chosen = (*chosen, "api_key")  # not needed by the form of the options, but by the platform
    if connector.source is not None and "contacts" in fields:
        chosen = (*chosen, "contacts")  # likewise: an audience sync reads them
    return {key: _value(connector.name, key, fields[key]) for key in fields if key in {*keys, *chosen}}


def _makes_options(connector: Connector, keys: set[str]) -> bool:
    """Whether these options are enough. Some value of the samples must suit."""
    fields = connector.options.model_fields
    if not keys <= fields.keys():
        return False
    for sample in _SAMPLES:
        given = {key: str((fields[key].examples or [sample])[0]) for key in keys}
        if "url" in given and not fields["url"].examples and "://" not in sample:
            given["url"] = _SAMPLES[1]
        try:
            connector.options.model_validate({"connector": connector.name, **given})
        except ValidationError:
            continue
        return True
    return False


def _value(connector: str, key: str, field: FieldInfo) -> str:
    if field.examples and not _SECRET.search(key):
        return str(field.examples[0])
    return f"${{{connector}_{key}}}".upper()
