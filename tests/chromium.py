"""Headless Chromium with the network off, for the tests of built pages."""

import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from mnist_tools.report import BROWSERS

CHROMIUM = next(filter(None, map(shutil.which, BROWSERS)), None)
needs_chromium = pytest.mark.skipif(
    CHROMIUM is None, reason=f"needs Chromium on PATH, as one of {', '.join(BROWSERS)}"
)
FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Start the browser of the system; Playwright's own is never downloaded."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=[*FLAGS])
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """Open a tab without network that fails the test on an error, or a request to anywhere."""
    context = browser.new_context(
        offline=True, reduced_motion="reduce", viewport={"width": 1440, "height": 900}
    )
    page, said, requests = context.new_page(), list[str](), list[str]()
    page.on("console", lambda message: said.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: said.append(f"error: {error}"))
    page.on("request", lambda request: requests.append(request.url))
    yield page
    context.close()
    assert not [text for text in said if text.startswith(("error", "warning"))]
    assert not [url for url in requests if not url.startswith(("file:", "data:"))]
