"""The stage of every test here."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.stage import LIST, Stage
from listbridge.sandbox.mailchimp import MailchimpSandbox
from listbridge.sandbox.serve import running


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    """Five people in a shop, an empty list at the platform, a configuration."""
    platform = MailchimpSandbox()
    platform.add_list(LIST)
    with running(platform) as urls:
        stage = Stage(tmp_path, platform, urls["mailchimp"])
        stage.people(
            (1, "anna@post.example", "Anna", "granted", 3),
            (2, "bert@post.example", "Bert", "granted", 0),
            (3, "clara@post.example", "Clara", "unknown", 1),
            (4, "dirk@post.example", "Dirk", "denied", 2),
            (5, "emil@post.example", "Emil", "unknown", 0),
        )
        stage.configure()
        yield stage
