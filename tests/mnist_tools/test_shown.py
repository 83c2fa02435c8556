"""What a notebook shows is read as a reader sees it."""

from typing import Any

import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from mnist_tools.shown import active_html, numbers, section, states


def test_heading_levels_bound_a_section() -> None:
    sources = ["## (a) 10x10  Confusion Matrix (using test data)", "### part", "text", "# next"]
    nb = new_notebook(cells=[new_markdown_cell(source) for source in sources])
    assert [cell.source for cell in section(nb, "a")] == sources[:3]
    assert section(nb, "b") == []


@pytest.mark.parametrize(
    ("text", "value", "stated"),
    [
        ("98.59%", 0.9859, True),
        ("98.5%", 0.9859, False),
        ("정확도 1.0, 0.9", 0.9859, False),  # too few digits to say anything
        ("9,859장", 9859, True),
        ("손실 0.0540", 0.05392, False),
        ("1장", 1.0, False),
        ("1 - 1.94e-17", 1.9412e-17, True),
        ("1e999 1.5e999", 0.5, False),
        ("", 0.5, False),
    ],
)
def test_a_number_is_stated_when_rounded_as_it_is_written(
    text: str, value: float, stated: bool
) -> None:
    assert states(numbers(text), value) is stated


ACTIVE = [
    "<script>alert(1)</script>",
    "text <IMG title='>' onerror=alert(1)>",
    "<iframe srcdoc='x'></iframe>",
    "<a href='javascript:alert(1)'>x</a>",
    "<meta http-equiv=refresh content='0;url=x'>",
]
PASSIVE = [
    "<b title='a > b'>on = 1</b>",
    "$a < b$, on = 3 and c > d",
    "<table border='1' class='dataframe'><tr><td>1</td></tr></table>",
]


def shown_by(kind: str, html: str) -> Any:
    """Return a cell that shows HTML, as an output or (Markdown) as the cell itself."""
    if kind == "markdown":
        return new_markdown_cell(html)
    return new_code_cell("x", outputs=[new_output("display_data", {kind: html})])


@pytest.mark.parametrize("html", [*ACTIVE, *PASSIVE])
def test_what_a_browser_would_run_is_named_and_what_it_only_shows_is_not(html: str) -> None:
    for kind in ("text/html", "markdown", "text/markdown"):
        assert bool(active_html(shown_by(kind, html))) is (html in ACTIVE)


def test_what_is_a_tag_in_html_alone() -> None:
    assert active_html(shown_by("text/html", "<svg/onload=alert(1)>"))
    assert active_html(shown_by("markdown", "<svg/onload=alert(1)>")) == []


def test_code_in_text_and_code_cells_are_not_html() -> None:
    assert active_html(new_markdown_cell("`<script>`\n\n```html\n<script>\n```")) == []
    assert active_html(new_code_cell("html = '<script>'")) == []
