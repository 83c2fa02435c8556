"""What a notebook shows is read as a reader sees it."""

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


HTML = {  # and whether a browser runs anything of it
    "<script>alert(1)</script>": True,
    "text <IMG title='>' onerror=alert(1)>": True,
    "<iframe srcdoc='x'></iframe>": True,
    "<a href='javascript:alert(1)'>x</a>": True,
    "<meta http-equiv=refresh content='0;url=x'>": True,
    "<b title='a > b'>on = 1</b>": False,
    "$a < b$, on = 3 and c > d": False,
    "<table border='1' class='dataframe'><tr><td>1</td></tr></table>": False,
}


@pytest.mark.parametrize("html", HTML)
def test_what_a_browser_would_run_is_named_and_what_it_only_shows_is_not(html: str) -> None:
    for kind in ("text/html", "text/markdown"):
        output = new_output("display_data", {kind: html})
        assert bool(active_html(new_code_cell("x", outputs=[output]))) is HTML[html]
    assert bool(active_html(new_markdown_cell(html))) is HTML[html]


def test_code_in_text_and_code_cells_are_not_html() -> None:
    assert active_html(new_markdown_cell("`<script>`\n\n```html\n<script>\n```")) == []
    assert active_html(new_code_cell("html = '<script>'")) == []
