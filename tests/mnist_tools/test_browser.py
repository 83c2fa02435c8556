"""The built pages in headless Chromium with the network off, as a reader meets them."""

import re
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from chromium import needs_chromium
from made_up_notebook import cell, write_cells
from playwright.sync_api import Browser, Page

from mnist_tools.files import NOTEBOOKS, read_notebook
from mnist_tools.html_page import to_html
from mnist_tools.report import print_pdf

REPOSITORY = Path(__file__).parents[2]
pytestmark = needs_chromium
FIRST, SECOND = NOTEBOOKS.values()
each_page = pytest.mark.parametrize("name", [FIRST, SECOND])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the pages of the committed notebooks as they are, each with a link to the other."""
    root = tmp_path_factory.mktemp("site")
    paths = {f"{name}.html": REPOSITORY / "notebooks" / f"{name}.ipynb" for name in (FIRST, SECOND)}
    notebooks = {name: read_notebook(path) for name, path in paths.items()}
    for name, nb in notebooks.items():
        others = {other: other for other in notebooks if other != name}
        (root / name).write_text(to_html(nb, others, notebooks), encoding="utf-8")
    return root


def show(page: Page, site: Path, name: str, width: int = 1440) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    page.goto((site / f"{name}.html").as_uri())


@each_page
def test_every_section_that_the_text_names_is_a_link_to_it(site: Path, name: str) -> None:
    html = (site / f"{name}.html").read_text(encoding="utf-8")
    link = r'<a href="([^"#]*)#([^"]+)">(?:\d\d번\s노트북\s)?([\d.]+)(?:~\d+)?절</a>'
    for file, anchor, number in (links := re.findall(link, html)):
        assert anchor.startswith((f"{number}-", f"{number}.-"))
        page = (site / file).read_text(encoding="utf-8") if file else html
        assert f' id="{anchor}">' in page
    assert len(links) > 10
    left = re.sub(rf"(?s){link}|<(pre|svg)\b.*?</\4>|<[^>]*>", "", html)
    assert re.findall(r".{0,30}\d절.{0,30}", left) == []


@pytest.mark.parametrize("width", [320, 1440])
@each_page
def test_everything_is_visible_and_sharp_nothing_overflows_and_one_switch_opens_all_code(
    site: Path, page: Page, name: str, width: int
) -> None:
    show(page, site, name, width)
    sizes = page.locator("main svg.math").evaluate_all(
        "all => all.map(f => f.getBoundingClientRect()).map(box => [box.width, box.height])"
    )
    assert min(map(min, sizes)) > 0
    assert max(height for _, height in sizes) < 600  # px; a broken bracket is 1000 and more
    figures = page.locator("main img").evaluate_all(
        "all => all.map(i => [i.naturalWidth / i.clientWidth, i.clientHeight, i.alt])"
    )
    assert figures
    for scale, height, alt in figures:
        assert scale > 1.5  # image pixels a CSS pixel: sharp on a high-resolution screen
        assert height > 0
        assert re.search("[가-힣]{2}", alt)
    switch, code = page.get_by_role("button", name="모든 코드 보기"), page.locator("details.code")
    for pressed in (True, False, True):
        switch.click()
        assert switch.get_attribute("aria-pressed") == str(pressed).lower()
        assert set(code.evaluate_all("all => all.map(c => c.open)")) == {pressed}
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    outside = page.evaluate(
        """() => [...document.querySelectorAll('body *')]
        .filter(e => !e.closest('.scroll > *, figure > *, pre > *, svg *, .glyphs, .skip'))
        .filter(e => e.getBoundingClientRect().right > innerWidth + 1)
        .map(e => e.outerHTML.slice(0, 80))"""
    )
    assert outside == []


@pytest.mark.parametrize("width", [360, 1440], ids=["a bar", "a column"])
def test_contents_lead_to_a_section_and_follow_the_reader(
    site: Path, page: Page, width: int
) -> None:
    show(page, site, FIRST, width)
    narrow, toc, links = width == 360, page.locator(".toc"), page.locator(".toc a")
    for link in (links.nth(12), links.nth(1)):
        assert toc.get_attribute("open") == (None if narrow else "")
        if narrow:
            page.locator(".toc summary").click()
        link.click()
        top = link.evaluate(
            "a => document.getElementById(decodeURIComponent(a.hash.slice(1)))"
            ".getBoundingClientRect().top"
        )
        bar = page.locator(".side").bounding_box() if narrow else None
        assert (bar["height"] if bar else 0) <= top < 900  # in the window, below the bar
    page.wait_for_selector(".toc li:nth-child(2) a[aria-current=location]", state="attached")
    assert page.locator(".toc a[aria-current]").count() == 1


def test_theme_follows_the_system_until_the_reader_chooses(site: Path, page: Page) -> None:
    def lightness() -> int:
        colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
        return int(colour.split("(")[1].split(",")[0])

    page.emulate_media(color_scheme="dark")
    show(page, site, SECOND)
    assert lightness() < 50
    page.locator("#theme-switch").click()
    assert lightness() > 200
    page.reload()  # the choice is kept
    assert lightness() > 200


@pytest.mark.parametrize(
    ("name", "width", "theme"), [(FIRST, 360, "light"), (SECOND, 1440, "dark")]
)
def test_axe_finds_no_violation(site: Path, page: Page, name: str, width: int, theme: Any) -> None:
    page.emulate_media(color_scheme=theme)
    show(page, site, name, width)
    page.evaluate("document.querySelectorAll('main details').forEach(d => { d.open = true })")
    page.wait_for_timeout(100)  # ms, for the observer that makes wide boxes reachable
    results = Axe().run(page)
    assert results.violations_count == 0, results.generate_report()


@each_page
def test_paper_shows_the_report_and_not_its_controls(site: Path, page: Page, name: str) -> None:
    page.emulate_media(media="print", color_scheme="dark")
    show(page, site, name, 670)  # CSS px, about the width of the text on A4
    for controls in (".side", ".skip", ".others", "details.code", "details.results"):
        assert not page.locator(controls).first.is_visible()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    whole = page.locator("figure, main tr, .display")
    rules = whole.evaluate_all("all => all.map(e => getComputedStyle(e).breakInside)")
    assert set(rules) == {"avoid"}
    assert page.evaluate("document.documentElement.scrollWidth") <= 670


def test_pdf_is_printed(site: Path) -> None:
    pdf = print_pdf(site / f"{SECOND}.html").read_bytes()
    assert pdf.startswith(b"%PDF")
    assert len(pdf) < 5_000_000  # figures, not pictures of pages


def test_page_reads_without_script(site: Path, browser: Browser) -> None:
    with browser.new_context(offline=True, java_script_enabled=False) as context:
        page = context.new_page()
        show(page, site, SECOND)
        assert page.locator(".toc a").first.is_visible()
        page.locator("details.code summary").first.click()
        assert page.locator("details.code .highlight").first.is_visible()


ATTACKS = [
    "<script>HIT</script>",
    "<img src=x onerror='HIT'>",
    "<details open ontoggle='HIT'>x</details>",
    "<iframe srcdoc='<script>HIT</script>'></iframe>",
    "<iframe src='javascript:HIT'></iframe>",
]


def test_no_script_of_a_notebook_runs_and_ours_do(browser: Browser, tmp_path: Path) -> None:
    """All of these run, in text and in an output, as soon as the page has no policy."""
    page = browser.new_context(offline=True).new_page()
    hits = [text.replace("HIT", f"(top.hit ??= []).push({n})") for n, text in enumerate(ATTACKS)]
    data = {"text/html": "".join(hits)}
    output = {"output_type": "display_data", "data": data, "metadata": {}}
    cells = [cell("markdown", "## 절"), *(cell("markdown", hit) for hit in hits)]
    nb = read_notebook(write_cells(tmp_path / "n.ipynb", *cells, cell("code", "x", output)))
    protected = to_html(nb, {}, {})
    bare = re.sub("<meta [^>]*Content-Security-Policy[^>]*>", "", protected)
    for text, expected in ((protected, None), (bare, [n // 2 for n in range(2 * len(hits))])):
        (tmp_path / "n.html").write_text(text, encoding="utf-8")
        page.goto((tmp_path / "n.html").as_uri())
        page.wait_for_timeout(300)  # ms, for what runs after the page has been loaded
        assert page.evaluate("top.hit?.toSorted((a, b) => a - b)") == expected
        page.locator("#theme-switch").click()
        assert page.evaluate("document.documentElement.dataset.theme") in ("dark", "light")
    page.context.close()
