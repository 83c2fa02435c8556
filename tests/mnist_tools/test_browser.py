"""The built pages in headless Chromium with the network off, as a reader meets them."""

import re
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from chromium import needs_chromium
from made_up_notebook import cell, write_cells
from playwright.sync_api import Browser, Page

from mnist_tools.files import NOTEBOOKS, read_notebook, write_atomically
from mnist_tools.html_page import to_html
from mnist_tools.report import print_pdf

REPOSITORY = Path(__file__).parents[2]
pytestmark = needs_chromium

WIDTHS = (320, 768, 1440)
REPORTS = list(NOTEBOOKS.values())


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Build the pages of the committed notebooks as they are, each with a link to the other."""
    root = tmp_path_factory.mktemp("site")
    for name, other in zip(REPORTS, reversed(REPORTS), strict=True):
        nb = read_notebook(REPOSITORY / "notebooks" / f"{name}.ipynb")
        html = to_html(nb, {f"{other}.html": nb.metadata["title"]})
        write_atomically(root / f"{name}.html", html)
    return {name: root / f"{name}.html" for name in REPORTS}


def show(page: Page, path: Path, width: int = 1440) -> None:
    """Open a built page at a window width."""
    page.set_viewport_size({"width": width, "height": 900})
    page.goto(path.as_uri())


@pytest.mark.parametrize("name", REPORTS)
def test_formulas_and_figures_are_visible_and_sharp(
    pages: dict[str, Path], page: Page, name: str
) -> None:
    show(page, pages[name])
    formulas, figures = page.locator("main svg.math"), page.locator("main img")
    assert formulas.count() > 0
    assert figures.count() > 0
    sizes = formulas.evaluate_all(
        "all => all.map(f => [f.getBoundingClientRect(), f.getBBox()])"
        ".map(([shown, drawn]) => [shown.width, shown.height, drawn.width, drawn.height])"
    )
    assert all(min(size[:2]) > 0 and max(size[2:]) > 0 for size in sizes)
    assert max(size[1] for size in sizes) < 600  # px; a broken bracket is 1000 and more
    scales = figures.evaluate_all("all => all.map(i => i.naturalWidth / i.clientWidth)")
    assert min(scales) > 1.5  # image pixels a CSS pixel: sharp on a high-resolution screen
    assert all(figures.evaluate_all("all => all.map(i => i.complete && i.clientHeight > 0)"))
    assert all(
        re.search("[가-힣]{2}", alt) for alt in figures.evaluate_all("a => a.map(i => i.alt)")
    )


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", REPORTS)
def test_nothing_overflows(pages: dict[str, Path], page: Page, name: str, width: int) -> None:
    show(page, pages[name], width)
    page.get_by_role("button", name="모든 코드 보기").click()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    outside = page.evaluate(
        """() => [...document.querySelectorAll('body *')]
        .filter(e => !e.parentElement.closest('.scroll, figure, pre, svg, .glyphs'))
        .filter(e => !e.closest('.skip'))
        .filter(e => e.getBoundingClientRect().right > innerWidth + 1)
        .map(e => e.outerHTML.slice(0, 80))"""
    )
    assert outside == []


@pytest.mark.parametrize("width", [360, 1440])  # a bar and a column
@pytest.mark.parametrize("name", REPORTS)
def test_contents_lead_to_each_section_and_follow_the_reader(
    pages: dict[str, Path], page: Page, name: str, width: int
) -> None:
    show(page, pages[name], width)
    toc, links = page.locator(".toc"), page.locator(".toc a")
    narrow = width < 1024
    assert toc.get_attribute("open") == (None if narrow else "")
    assert links.count() > 0
    for link in links.all():
        if narrow:
            page.locator(".toc summary").click()
        link.click()
        target = link.evaluate("a => decodeURIComponent(a.hash.slice(1))")
        top = page.evaluate("id => document.getElementById(id).getBoundingClientRect().top", target)
        bar = page.locator(".side").bounding_box() if narrow else None
        assert (bar["height"] if bar else 0) <= top < 900  # in the window, below the bar
        assert toc.get_attribute("open") == (None if narrow else "")
    page.evaluate("scrollTo(0, 0)")
    links.nth(1).evaluate("a => a.click()")
    page.wait_for_selector(".toc a[aria-current]", state="attached")
    page.wait_for_function("document.querySelectorAll('.toc a')[1].ariaCurrent === 'location'")
    assert page.locator(".toc a[aria-current]").count() == 1


@pytest.mark.parametrize("name", REPORTS)
def test_one_switch_shows_and_hides_all_code(pages: dict[str, Path], page: Page, name: str) -> None:
    show(page, pages[name])
    switch, code = page.locator("#code-switch"), page.locator("details.code")
    assert code.count() > 0
    for pressed in (True, False):
        switch.click()
        assert switch.get_attribute("aria-pressed") == str(pressed).lower()
        assert code.evaluate_all("all => all.map(c => c.open)") == [pressed] * code.count()


def test_theme_follows_the_system_until_the_reader_chooses(
    pages: dict[str, Path], page: Page
) -> None:
    def lightness() -> int:
        colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
        return int(colour.split("(")[1].split(",")[0])

    page.emulate_media(color_scheme="dark")
    show(page, pages[REPORTS[0]])
    assert lightness() < 50
    page.locator("#theme-switch").click()
    assert lightness() > 200
    page.reload()  # the choice is kept
    assert lightness() > 200


@pytest.mark.parametrize(("width", "theme"), [(360, "light"), (1440, "dark")])
@pytest.mark.parametrize("name", REPORTS)
def test_axe_finds_no_violation(
    pages: dict[str, Path], page: Page, name: str, width: int, theme: str
) -> None:
    page.emulate_media(color_scheme="dark" if theme == "dark" else "light")
    show(page, pages[name], width)
    page.evaluate("document.querySelectorAll('main details').forEach(d => { d.open = true })")
    page.wait_for_timeout(100)  # ms, for the observer that makes wide boxes reachable
    results = Axe().run(page)
    assert results.violations_count == 0, results.generate_report()


@pytest.mark.parametrize("name", REPORTS)
def test_paper_shows_the_report_and_not_its_controls(
    pages: dict[str, Path], page: Page, name: str
) -> None:
    page.emulate_media(media="print", color_scheme="dark")
    show(page, pages[name], 670)  # CSS px, about the width of the text on A4
    for controls in (".side", ".skip", ".others", "details.code", "details.results"):
        assert not page.locator(controls).first.is_visible()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    whole = page.locator("figure, main tr, .display")
    rules = whole.evaluate_all("all => all.map(e => getComputedStyle(e).breakInside)")
    assert set(rules) == {"avoid"}
    assert page.evaluate("document.documentElement.scrollWidth") <= 670


def test_pdf_is_printed(pages: dict[str, Path]) -> None:
    pdf = print_pdf(pages[REPORTS[0]])
    assert pdf.read_bytes().startswith(b"%PDF")
    assert pdf.stat().st_size < 5_000_000  # figures, not pictures of pages


def test_page_reads_without_script(pages: dict[str, Path], browser: Browser) -> None:
    context = browser.new_context(offline=True, java_script_enabled=False)
    page = context.new_page()
    page.goto(pages[REPORTS[0]].as_uri())
    assert page.locator(".toc a").first.is_visible()
    page.locator("details.code summary").first.click()
    assert page.locator("details.code .highlight").first.is_visible()
    context.close()


ATTACKS = [
    "<script>HIT</script>",
    "<script src='data:text/javascript,HIT'></script>",
    "<img src=x onerror='HIT'>",
    "<svg onload='HIT'></svg>",
    "<style onload='HIT'>b { color: red }</style>",
    "<details open ontoggle='HIT'>x</details>",
    "<iframe srcdoc='<script>HIT</script>'></iframe>",
    "<iframe src='javascript:HIT'></iframe>",
    "<a class='click' href='javascript:HIT'>x</a>",
    "<form action='javascript:HIT'><button class='click'>x</button></form>",
]


@pytest.mark.parametrize("kind", ["a Markdown cell", "text/html", "text/markdown"])
def test_no_script_of_a_notebook_runs_and_ours_do(
    kind: str, browser: Browser, tmp_path: Path
) -> None:
    """All of these run, each once, as soon as the page has no policy."""
    page = browser.new_context(offline=True).new_page()
    linked = kind == "text/html"  # Markdown takes links to scripts out
    texts = [text for text in ATTACKS if linked or "click" not in text]
    texts = [text.replace("HIT", f"(top.hit ??= []).push({n})") for n, text in enumerate(texts)]
    outputs = [{"output_type": "display_data", "data": {kind: t}, "metadata": {}} for t in texts]
    made = [cell("markdown", t) for t in texts] if kind[0] == "a" else [cell("code", "x", *outputs)]
    nb = read_notebook(write_cells(tmp_path / "n.ipynb", cell("markdown", "## 절"), *made))
    protected = to_html(nb, {})
    bare = re.sub("<meta [^>]*Content-Security-Policy[^>]*>", "", protected)
    for html, hits in ((protected, None), (bare, list(range(len(texts))))):
        (tmp_path / "n.html").write_text(html, encoding="utf-8")
        page.goto((tmp_path / "n.html").as_uri())
        for link in page.locator(".click").all():
            link.click()
        page.wait_for_timeout(300)  # ms, for what runs after the page has been loaded
        assert page.evaluate("top.hit?.toSorted()") == hits
        page.locator("#theme-switch").click()
        assert page.evaluate("document.documentElement.dataset.theme") in ("dark", "light")
    page.context.close()
