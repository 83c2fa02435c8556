"""README and CONTRIBUTING, rendered as GitHub does: whole, and what they name is there."""

import re
from pathlib import Path

import cmarkgfm
import pytest
from bs4 import BeautifulSoup
from cmarkgfm.cmark import Options

ROOT = Path(__file__).parents[1]
WORKFLOWS = [f".github/workflows/{name}.yml" for name in ("test", "main")]


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def rendered(name: str) -> BeautifulSoup:
    options = Options.CMARK_OPT_UNSAFE  # images with a width are HTML
    html = cmarkgfm.github_flavored_markdown_to_html(read(name), options)
    return BeautifulSoup(html, "html.parser")


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "benchmarks/README.md"])
def test_on_github_nothing_is_struck_out_and_every_link_and_image_leads_somewhere(
    name: str,
) -> None:
    html = rendered(name)
    assert html.find("del") is None
    assert "|---" not in html.get_text()  # a table that is none
    targets = [str(link["href"]) for link in html.find_all("a")]
    targets += [str(image["src"]) for image in html.find_all("img")]
    assert all(image.get("alt") for image in html.find_all("img"))
    for target in targets:
        here = (ROOT / name).parent / target
        assert target.startswith("https://") or here.exists(), target


def test_the_readme_begins_with_commands_results_and_picture_and_stays_short() -> None:
    assert len(read("README.md").splitlines()) <= 120
    tags = rendered("README.md").find_all(["pre", "table", "img", "h2"])
    shown = [tag.name for tag in tags if not tag.find_parent("a")]  # but for the badges
    assert shown[:3] == ["pre", "table", "img"]


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", *WORKFLOWS])
def test_every_command_file_and_test_that_is_named_exists(name: str) -> None:
    text, makefile = read(name), read("Makefile")
    targets = set(re.findall(r"\bmake ([a-z-]+)", text))
    assert targets
    for target in targets:
        assert re.search(rf"^([a-z -]+ )?{target}( [a-z -]+)?:", makefile, re.MULTILINE), target
    paths = [p for folder in ("src", "tests", "benchmarks") for p in (ROOT / folder).rglob("*")]
    known = [f"{path}/" if path.is_dir() else str(path) for path in paths]
    files = set(re.findall(r"`((?:[\w.-]+/)*[\w.-]+\.py|mnist_\w+/\w+/)`", text))
    missing = {file for file in files if not any(path.endswith(f"/{file}") for path in known)}
    assert missing <= {"nbgrader_config.py"}  # the grader's own
    for words, file in re.findall(r"pytest -k (\w+) (\S+?)`", text):
        assert re.search(rf"^def test_\w*{words}", read(file), re.MULTILINE), words
