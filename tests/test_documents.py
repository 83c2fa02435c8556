"""README and CONTRIBUTING, rendered as GitHub does: whole, and what they name is there."""

import re
from pathlib import Path

import cmarkgfm
import pytest
from bs4 import BeautifulSoup
from cmarkgfm.cmark import Options

ROOT = Path(__file__).parents[1]
each_document = pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md"])


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def rendered(name: str) -> BeautifulSoup:
    options = Options.CMARK_OPT_UNSAFE  # images with a width are HTML
    html = cmarkgfm.github_flavored_markdown_to_html(read(name), options)
    return BeautifulSoup(html, "html.parser")


def anchor(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "benchmarks/README.md"])
def test_on_github_nothing_is_struck_out_and_every_link_and_image_leads_somewhere(
    name: str,
) -> None:
    html = rendered(name)
    assert html.find("del") is None
    assert "|---" not in html.get_text()  # a table that is none
    anchors = {anchor(heading.get_text()) for heading in html.find_all(re.compile("^h[1-6]$"))}
    targets = [str(link["href"]) for link in html.find_all("a")]
    targets += [str(image["src"]) for image in html.find_all("img")]
    assert all(image.get("alt") for image in html.find_all("img"))
    for target in targets:
        if target.startswith("#"):
            assert target[1:] in anchors
        elif not target.startswith("https://"):
            assert (ROOT / name).parent.joinpath(target).exists(), target


def test_the_readme_begins_with_commands_results_and_picture_and_stays_short() -> None:
    assert len(read("README.md").splitlines()) <= 120
    tags = rendered("README.md").find_all(["pre", "table", "img", "h2"])
    shown = [tag.name for tag in tags if not tag.find_parent("a")]  # but for the badges
    assert shown[:3] == ["pre", "table", "img"]


def walk(folder: str) -> list[Path]:
    return list((ROOT / folder).rglob("*.py"))


@each_document
def test_every_command_and_every_file_that_is_named_exists(name: str) -> None:
    text, makefile = read(name), read("Makefile")
    targets = set(re.findall(r"\bmake ([a-z-]+)", text))
    assert len(targets) >= 5
    for target in targets:
        assert re.search(rf"^([a-z -]+ )?{target}( [a-z -]+)?:", makefile, re.MULTILINE), target
    files = set(re.findall(r"`((?:[\w.-]+/)*[\w.-]+\.py|mnist_\w+/\w+/)`", text))
    modules = [path for folder in ("src", "tests", "benchmarks") for path in walk(folder)]
    known = {str(path.relative_to(ROOT)) for path in modules}
    known |= {f"{path.parent.relative_to(ROOT)}/" for path in ROOT.glob("src/*/*/*")}
    known |= {"nbgrader_config.py"}  # the grader's own
    missing = {file for file in files if not any(path.endswith(file) for path in known)}
    assert missing == set()


@each_document
def test_every_test_that_is_named_is_found(name: str) -> None:
    for words, file in re.findall(r"pytest -k (\w+) (\S+?)`", read(name)):
        assert re.search(rf"^def test_\w*{words}", read(file), re.MULTILINE), words
