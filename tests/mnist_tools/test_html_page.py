"""A notebook's page, on a small notebook that has every kind of cell and output."""

import json
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from bs4 import BeautifulSoup
from made_up_notebook import TITLE, cell, write_cells

from mnist_tools.files import ReportError, read_notebook
from mnist_tools.html_page import to_html

ALT = "ReLU의 학습 손실이 스무 에폭 동안 줄어드는 꺾은선 그래프 <1 미만>"
DERIVATION = r"""## 3. 모델과 유도

여기서 $W_1 \in \mathbb{R}^{512 \times 784}$는 본문 안의 식이다. `$PATH`는 식이 아니다.

$$
f(z) = \begin{cases} z & z > 0 \text{일 때} \\ \alpha z & \text{그 밖에} \end{cases}
$$

### 3.1 역전파

3.1절과 6~8절, 02번
노트북 3절, 02번 노트북의 3.1절을 보라.
3.2절, 2.3.1절, 03번 노트북 3절, `3절`, [3절](#3.-모델과-유도)은 그대로 둔다.

### 3.2 `ReLU`

### 해석"""
COMMENTARY = r"""손실은 $-\log p$이다.

| 활성화 | 학습 |  |
|:--|--:|--:|
| LReLU ($\alpha = 0.1$) | 99.97 | 98.40 |"""
LISTING = """```python
class Affine:
    def backward(self, grad_output: Array) -> Array:
        return grad_output @ self.W.T
```"""
LOG = "".join(f"에폭 {epoch} | 0.1\n" for epoch in range(21))
FRAME = "<table><thead><tr><th></th><th>횟수</th></tr></thead><tr><td>0</td><td>1</td></tr></table>"


def shown(data: dict[str, Any], **metadata: Any) -> dict[str, Any]:
    return {"output_type": "display_data", "data": data, "metadata": metadata}


def stream(text: str) -> dict[str, Any]:
    return {"output_type": "stream", "name": "stdout", "text": text}


CELLS = [
    cell("markdown", f"# {TITLE}"),
    cell("code", "for n in range(20):\n    print('epoch', n)", stream("epoch 0\n")),
    cell("markdown", DERIVATION),
    cell(
        "code",
        "show(figure)",
        shown({"image/png": "iVBORw0="}, **{"image/png": {"alt": ALT, "width": 900}}),
        shown({"text/markdown": f"**그림.** {ALT}"}, caption=True),
    ),
    cell("code", "say(text)", shown({"text/markdown": COMMENTARY})),
    cell("code", "show_source(Affine)", shown({"text/markdown": LISTING})),
    cell("markdown", "## 6. (a) 10x10 Confusion Matrix (using test data)\n\n### 해석"),
    cell("code", "frame", shown({"text/html": FRAME, "text/plain": "0 1"})),
    cell("code", "runs = train()", stream(LOG)),
    cell("code", "publish(results)", shown({"application/json": {"runs": {"ReLU": 0.98}}})),
]


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> BeautifulSoup:
    nb = read_notebook(write_cells(tmp_path_factory.mktemp("page") / "n.ipynb", *CELLS))
    html = to_html(nb, {"02.html": "PyTorch <와> 비교"}, {"02.html": nb})
    return BeautifulSoup(html, "html.parser")


def test_page_is_korean_and_titled_and_links_to_the_others(page: BeautifulSoup) -> None:
    assert page.html is not None
    assert page.html["lang"] == "ko"
    assert page.title is not None
    assert page.title.string == TITLE
    assert [a.get_text() for a in page.select(".others a")] == ["PyTorch <와> 비교"]


def test_contents_list_every_section_and_lead_there(page: BeautifulSoup) -> None:
    links = page.select(".toc a")
    confusion = "6. (a) 10x10 Confusion Matrix (using test data)"
    assert [link.get_text() for link in links] == [
        *("3. 모델과 유도", "3.1 역전파", "3.2 ReLU", "해석", confusion, "해석")
    ]
    targets = [page.find(id=str(link["href"]).removeprefix("#")) for link in links]
    assert [target.get_text() for target in targets if target] == [a.get_text() for a in links]
    ids = [str(element["id"]) for element in page.select("[id]")]
    assert len(ids) == len(set(ids))  # equal headings differ in id


def test_a_section_that_the_text_names_is_a_link_to_it_if_it_exists(page: BeautifulSoup) -> None:
    links = page.select(".text p a")
    assert [(" ".join(a.get_text().split()), unquote(str(a["href"]))) for a in links] == [
        ("3.1절", "#3.1-역전파"),
        ("6~8절", "#6.-(a)-10x10-Confusion-Matrix-(using-test-data)"),
        ("02번 노트북 3절", "02.html#3.-모델과-유도"),
        ("02번 노트북의 3.1절", "02.html#3.1-역전파"),
        ("3절", "#3.-모델과-유도"),
    ]
    assert not page.select("a a, code a")


def test_every_formula_is_drawn_and_no_dollar_is_left(page: BeautifulSoup) -> None:
    labels = [str(svg["aria-label"]) for svg in page.select("svg.math")]
    assert [label[:6] for label in labels] == [r"W_1 \i", "f(z) =", r"-\log ", r"\alpha"]
    left = [text for text in page.select("main")[0].find_all(string=True) if "$" in text]
    assert left == ["$PATH"]
    used = {str(use["href"]).removeprefix("#") for use in page.select("svg.math use")}
    assert used <= {str(symbol["id"]) for symbol in page.select("svg.glyphs symbol")}


def test_what_other_programs_leave_is_shown_or_left_out_but_no_error(tmp_path: Path) -> None:
    pasted = cell("markdown", "![그림](attachment:a.png)")
    pasted["attachments"] = {"a.png": {"image/png": "iVBORw0="}}
    pictures = [shown({"image/svg+xml": "<svg/>"}), shown({"image/jpeg": "/9j/\n"})]
    formula = shown({"text/latex": "$x^2$", "text/plain": "<Math object>"})
    path = write_cells(tmp_path / "n.ipynb", pasted, cell("code", "plot()", *pictures, formula))
    nb = read_notebook(path)
    nb.metadata["widgets"] = {"application/vnd.jupyter.widget-state+json": {}}  # Colab's
    page = BeautifulSoup(to_html(nb, {}, {}), "html.parser")
    kinds = [str(image["src"]).partition(";")[0] for image in page.select("img")]
    assert kinds == ["data:image/png", "data:image/svg+xml", "data:image/jpeg"]
    assert len(page.select(".output svg.math")) == 1
    assert "widgets" in nb.metadata  # the notebook itself stays as it is


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (r"$x$와 $\undefined{x}$", r"formula .*\\undefined"),
        ("![그림](attachment:a.png)", r"missing attachment: a\.png"),
    ],
)
def test_what_cannot_be_shown_is_named_with_its_cell(
    text: str, reason: str, tmp_path: Path
) -> None:
    path = write_cells(tmp_path / "n.ipynb", cell("markdown", text))
    with pytest.raises(ReportError, match=f"cell cell-0: {reason}"):
        to_html(read_notebook(path), {}, {})


def test_code_and_results_are_folded_and_outputs_are_not(page: BeautifulSoup) -> None:
    folded = [code.get_text() for code in page.select("details.code:not([open]) pre")]
    assert len(folded) == 5
    # What only shows computed text or a source has no line of its own.
    assert not [code for code in folded if "say(" in code or "show_source(" in code]
    (results,) = page.select("details.results:not([open]) pre")
    assert json.loads(results.get_text()) == {"runs": {"ReLU": 0.98}}
    (listing,) = [h for h in page.select(".highlight") if not h.find_parent("details")]
    assert listing.select_one(".nc")  # class names are coloured
    assert page.select("pre.output")[0].get_text() == "epoch 0\n"
    (log,) = page.select("details.log:not([open])")  # of a long one the last line stays
    assert log.select("summary")[0].get_text().startswith("에폭 20 | 0.1")
    assert log.select("pre")[0].get_text() == LOG


def test_figure_carries_its_alt_text_width_and_one_caption(page: BeautifulSoup) -> None:
    (image,) = page.select("figure img")
    assert (image["alt"], image["width"]) == (ALT, "900")
    assert page.select("figcaption")[0].get_text() == ALT
    assert "그림." not in page.get_text()  # that caption is for exporters that drop this one


def test_tables_have_a_box_that_scrolls_and_no_empty_header(page: BeautifulSoup) -> None:
    tables = page.select("table")
    assert len(tables) == 2
    assert all(table.find_parent(class_="scroll") for table in tables)
    assert all(header.get_text(strip=True) for header in page.select("th"))
