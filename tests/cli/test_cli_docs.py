"""The pages are true: reference pages are fresh, tutorials run."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from cli.stage import LIST
from listbridge.cli.arguments import parser
from listbridge.cli.reference import pages
from listbridge.sandbox.mailchimp import MailchimpSandbox
from listbridge.sandbox.serve import running

ROOT = Path(__file__).parents[2]
TUTORIALS = sorted((ROOT / "docs" / "tutorials").glob("*.md"))


@pytest.mark.parametrize("name", sorted(pages()))
def test_a_reference_page_is_fresh(name: str) -> None:
    written = (ROOT / "docs" / "reference" / name).read_text(encoding="utf-8")
    assert written == pages()[name], "run: python -m listbridge.cli.reference docs/reference"


def test_every_command_is_on_its_page_and_in_the_help() -> None:
    page = pages()["cli.md"]
    for name in parser().commands:
        assert f"listbridge {name}" in page
        assert name in parser().format_help()


@pytest.mark.parametrize("page", TUTORIALS, ids=lambda page: page.stem)
def test_a_tutorial_runs(page: Path, tmp_path: Path) -> None:
    platform = MailchimpSandbox()
    platform.add_list(LIST)
    blocks = re.findall(r"^```sh\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    assert blocks[0].startswith("listbridge sandbox")
    env = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    with running(platform) as urls:
        root = urls["mailchimp"].removesuffix("/3.0")
        for block in blocks[1:]:
            script = block.replace("http://127.0.0.1:8099", root)
            done = subprocess.run(
                ["bash", "-euo", "pipefail", "-c", script],
                cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60, check=False,
            )  # fmt: skip
            told = done.returncode == 6 and "--detailed-exitcode" in block
            assert done.returncode == 0 or told, f"{script}\n{done.stdout}\n{done.stderr}"
    _as_promised(page.stem, platform, tmp_path)


def _as_promised(name: str, platform: MailchimpSandbox, folder: Path) -> None:
    if name == "shop-owner":
        assert set(platform.members(LIST, "subscribed")) == {"bert@post.example"}
        assert "anna@post.example" in (folder / "export" / "listbridge-feedback.csv").read_text()
    if name == "agency":
        assert set(platform.members(LIST, "subscribed")) == {"anna@post.example", "clara@post.example"}
        assert set(platform.members("Trade", "subscribed")) == {"bert@post.example", "clara@post.example"}
    if name == "developer":
        assert len(platform.members(LIST, "subscribed")) == 1200


@pytest.mark.parametrize(
    "page", [*TUTORIALS, ROOT / "README.md", ROOT / "ARCHITECTURE.md"], ids=lambda page: page.name
)
def test_links_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)#]+)", page.read_text(encoding="utf-8")):
        assert link.startswith("http") or (page.parent / link).exists(), link


def test_the_readme_shows_a_configuration_that_loads(tmp_path: Path) -> None:
    from listbridge.config import load_text

    (block,) = re.findall(
        r"^```yaml\n(version.*?)^```", (ROOT / "README.md").read_text(), re.DOTALL | re.MULTILINE
    )
    environ = {"RETAILCRM_API_KEY": "key", "MAILCHIMP_API_KEY": "0123456789abcdef0123456789abcdef-us1"}
    assert list(load_text(block, tmp_path / "listbridge.yaml", environ).syncs) == ["customers", "vip"]
