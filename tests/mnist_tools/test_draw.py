"""The page that one draws on: what it is made of, and how it is in a browser."""

import copy
import re
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from bs4 import BeautifulSoup
from chromium import needs_chromium
from made_up import stored_run
from playwright.sync_api import Page
from scipy import ndimage

from mnist_mlp import scratch, study, weights
from mnist_mlp.data import Dataset
from mnist_mlp.evaluation import log_probabilities
from mnist_mlp.recipe import Recipe
from mnist_mlp.run import Run
from mnist_mlp.study import Task
from mnist_tools import draw
from mnist_tools.files import ReportError

OTHERS = {"01.html": "NumPy", "02.html": "PyTorch"}
NOBODY = "아무도 맞히지 못한 이미지"


@pytest.fixture
def file(tmp_path: Path, trained: dict[str, Run]) -> Path:
    file = tmp_path / "weights_scratch.npz"
    file.write_bytes(weights.to_bytes("numpy", "sklearn-digits", trained))
    return file


@pytest.fixture(scope="module")
def site(
    tmp_path_factory: pytest.TempPathFactory, digits: Dataset, trained: dict[str, Run]
) -> Path:
    """A page, its networks unaware of any study."""
    file, html = (tmp_path_factory.mktemp("site") / name for name in ("w.npz", draw.FILE))
    file.write_bytes(weights.to_bytes("numpy", "sklearn-digits", trained))
    html.write_text(draw.page(file, digits, [], OTHERS), encoding="utf-8")
    return html


def middle(ink: Any) -> tuple[int, Any]:
    """Return the longer side of what is inked, in pixels, and the centre of mass."""
    rows, columns = np.flatnonzero((ink > 0.5).any(1)), np.flatnonzero((ink > 0.5).any(0))
    return int(max(np.ptp(rows), np.ptp(columns))) + 1, ndimage.center_of_mass(ink)


# ---- what it is made of


def test_a_rounded_weight_is_off_by_half_a_step_of_its_row(trained: dict[str, Run]) -> None:
    model = copy.deepcopy(trained["LReLU"].model)
    model.affine[0].W[5] = 0  # a pixel that is never inked
    for layer, small in zip(model.affine, draw.rounded(model).affine, strict=True):
        step = np.abs(layer.W).max(axis=1, keepdims=True) / 127
        assert np.all(np.abs(layer.W - small.W) <= step * 0.5001)  # float32 rounding
        assert set(np.abs(draw.quantised(layer)[0]).max(axis=1)) <= {0, 127}
        np.testing.assert_array_equal(small.b, layer.b)


def test_the_page_says_how_many_answers_are_kept_and_there_is_none_if_they_are_few(
    site: Path, file: Path, digits: Dataset, trained: dict[str, Run], monkeypatch: Any
) -> None:
    text = " ".join(site.read_text(encoding="utf-8").split())
    for run in trained.values():
        answers = draw.rounded(run.model).predict(digits.test.images)
        kept = np.sum(answers == run.logits.argmax(axis=1))
        assert f"{run.recipe.label} 망은 {kept}장" in text
    monkeypatch.setattr(draw, "rounded", lambda model: scratch.MLP(trained["ReLU"].recipe, 0))
    with pytest.raises(ReportError, match=r"8-bit weights keep only \d+ of 360 answers"):
        draw.page(file, digits, [], OTHERS)


def test_the_page_lets_its_own_scripts_alone_run(site: Path) -> None:
    policy = r"default-src 'none'; script-src (?:'sha256-\S{44}' ?)+;"
    assert len(re.findall(policy, site.read_text(encoding="utf-8"))) == 1


def test_a_page_of_full_size_is_at_most_two_megabytes(file: Path, digits: Dataset) -> None:
    relu = Recipe(epochs=0)  # of the true widths, and wrong on nearly all: the most examples
    recipes = {"ReLU": relu, "LReLU": replace(relu, alpha=0.1)}
    runs = {name: scratch.fit(digits, recipe) for name, recipe in recipes.items()}
    file.write_bytes(weights.to_bytes("numpy", "sklearn-digits", runs))
    assert len(draw.page(file, digits, [], OTHERS).encode()) < 2_000_000


def examples(html: str) -> dict[str, list[int]]:
    """Return the test images under each heading."""
    return {
        gallery.find_previous("h3").text: [  # type: ignore[union-attr]
            int(i.replace(",", "")) for i in re.findall(r"테스트 이미지 ([\d,]+)번", str(gallery))
        ]
        for gallery in BeautifulSoup(html, "html.parser").select(".gallery")
    }


def test_the_examples_are_what_their_headings_say(
    site: Path, digits: Dataset, trained: dict[str, Run]
) -> None:
    html, labels = site.read_text(encoding="utf-8"), digits.test.labels
    for digit, image in re.findall(r"정답 (\d), 테스트 이미지 (\d+)번", html):
        assert int(digit) == labels[int(image)]
    shown = examples(html)
    scores = [-log_probabilities(run.logits) for run in trained.values()]
    best = {int(i) for z in scores for i in np.argsort(z, axis=0, kind="stable")[:3].ravel()}
    assert sorted(shown["점수가 가장 높은 이미지"]) == sorted(best)
    relu, lrelu = (run.logits.argmax(axis=1) == labels for run in trained.values())
    for only, expected in (("ReLU", relu & ~lrelu), ("LReLU(0.1)", lrelu & ~relu)):
        assert shown.get(f"{only} 망만 맞힌 이미지", []) == np.flatnonzero(expected).tolist()
    assert shown[NOBODY] == np.flatnonzero(~lrelu & ~relu).tolist() != []


def test_nobody_means_the_networks_of_the_same_training_where_the_study_has_some(
    file: Path, digits: Dataset, trained: dict[str, Run]
) -> None:
    tasks = [
        Task("numpy", r.recipe, seed, "sklearn-digits") for r in trained.values() for seed in (0, 1)
    ]
    runs = [replace(stored_run(t), errors={4: (4, 9), 8 + t.seed: (8, 1)}) for t in tasks]
    html = draw.page(file, digits, runs, OTHERS)
    assert "망 4개가 모두 틀린 1장" in html
    assert examples(html)[NOBODY] == [4]


def test_scribbles_are_made_as_mnist_was_and_counted_where_a_network_is_sure(
    trained: dict[str, Run],
) -> None:
    images = np.stack([draw.scribble(p) for p in draw.SCRIBBLES.values()]).astype(np.float32)
    for ink in images.reshape(-1, 28, 28):
        side, centre = middle(ink)
        assert 19 <= side <= 21
        np.testing.assert_allclose(centre, 13.5, atol=0.1)
        assert (ink.min(), ink.max()) == (0, 1)
    z = trained["ReLU"].model.logits(images).astype(float)
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    assert draw.sure_answers(trained["ReLU"].model, images) == np.sum(p.max(axis=1) >= 0.99)


@pytest.mark.parametrize(
    ("dataset", "activation", "reason"),
    [
        ("sklearn-digits", "relu", "study.jsonl does not exist"),
        ("sklearn-digits", "", "is damaged or no weights file"),
        ("other", "relu", "the networks learned other"),
        ("sklearn-digits", "tanh", "the page knows ReLU and LReLU only"),
    ],
)
def test_a_page_that_cannot_be_made_is_one_line_and_no_error(
    dataset: str,
    activation: Any,
    reason: str,
    file: Path,
    digits: Dataset,
    trained: dict[str, Run],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(draw, "load", lambda name: digits)
    if "study" in reason:
        monkeypatch.setattr(study, "read", partial(study.read, file.parent / "study.jsonl"))
    recipe = replace(trained["ReLU"].recipe, activation=activation or "relu")
    runs = {name: replace(run, recipe=recipe) for name, run in trained.items()}
    file.write_bytes(weights.to_bytes("numpy", dataset, runs) if activation else b"no archive")
    assert draw.build(file, file.parent, OTHERS) == {}
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith(f"알림: {file.parent / draw.FILE}을 만들지 못했습니다: ")
    assert reason in line
    assert list(file.parent.iterdir()) == [file]


# ---- in a browser

SEVEN = [(70, 50), (205, 45), (130, 240)]  # a stroke on a board of 280 x 280
STROKE = [(100, 90), (145, 40), (145, 240)]


def drag(page: Page, stroke: Sequence[tuple[float, float]]) -> None:
    """Draw a stroke with the mouse, slowly enough to be followed."""
    box = page.locator("#board").bounding_box()
    assert box is not None
    scale = box["width"] / 280
    (x, y), *others = ((box["x"] + scale * x, box["y"] + scale * y) for x, y in stroke)
    page.mouse.move(x, y)
    page.mouse.down()
    for x, y in others:
        page.mouse.move(x, y, steps=8)
    page.mouse.up()


def seen(page: Page) -> Any:
    """Return what the networks see, as the page shows it: (28, 28), 1 is ink."""
    values = page.evaluate(
        """() => {
          const copy = new OffscreenCanvas(28, 28).getContext('2d', { willReadFrequently: true });
          copy.drawImage(document.getElementById('seen'), 0, 0);
          return [...copy.getImageData(0, 0, 28, 28).data];
        }"""
    )
    return 1 - np.reshape(values, (28, 28, 4))[..., 0] / 255


def said(page: Page) -> str:
    return page.get_by_role("status").inner_text()


def open_page(page: Page, site: Path, width: int = 1280, height: int = 900) -> None:
    page.set_viewport_size({"width": width, "height": height})
    page.goto(site.as_uri())


@needs_chromium
@pytest.mark.parametrize("scale", [1.0, 0.4])
def test_what_the_mouse_draws_is_scaled_and_centred_as_mnist_was_made_and_read(
    scale: float, site: Path, page: Page, trained: dict[str, Run]
) -> None:
    open_page(page, site)
    drag(page, [(20 + scale * x, 10 + scale * y) for x, y in SEVEN])
    ink = seen(page)
    side, centre = middle(ink)
    assert 19 <= side <= 21
    np.testing.assert_allclose(centre, 13.5, atol=0.15)
    image = ink.reshape(1, 784).astype(np.float32)
    relu, lrelu = (int(draw.rounded(run.model).predict(image)[0]) for run in trained.values())
    assert re.fullmatch(rf"ReLU: {relu} \(.*%\), LReLU\(0.1\): {lrelu} \(.*%\)", said(page))
    best = page.locator(".best").evaluate_all("all => all.map(c => c.parentElement.rowIndex - 1)")
    assert sorted(best) == sorted([relu, lrelu])


@needs_chromium
def test_ink_that_would_lie_outside_of_the_board_stays_at_its_edge(site: Path, page: Page) -> None:
    open_page(page, site)
    drag(page, [(140, 30), (140, 280), (500, 280), (500, 900)])
    slipped = seen(page)
    page.get_by_role("button", name="모두 지우기").click()
    drag(page, [(140, 30), (140, 280), (280, 280)])
    np.testing.assert_allclose(slipped, seen(page), atol=0.1)


@needs_chromium
def test_predict_answers_as_the_networks_of_the_notebook(
    site: Path, page: Page, digits: Dataset, trained: dict[str, Run]
) -> None:
    open_page(page, site)
    images = digits.test.images[:100]
    answers = page.evaluate("images => images.map(mnistMlp.predict)", images.astype(float).tolist())
    for name, run in trained.items():
        p = np.array([answer[name] for answer in answers])
        expected = log_probabilities(draw.rounded(run.model).logits(images))
        np.testing.assert_allclose(p, np.exp(expected), atol=1e-5)  # float64 against float32
    refused = page.evaluate("try { mnistMlp.predict([1]) } catch (error) { error.message }")
    assert "784 numbers" in refused


@needs_chromium
def test_an_example_is_one_click_away_and_undo_takes_back_a_stroke_and_clear_everything(
    site: Path, page: Page, digits: Dataset
) -> None:
    open_page(page, site)
    empty, button = said(page), page.locator(".example").nth(35)
    undo, clear = page.locator("#undo"), page.locator("#clear")
    button.click()
    name, example = button.get_attribute("aria-label") or "", seen(page)
    assert said(page).startswith(f"예시({name}). ReLU: ")
    index = int(re.findall(r"(\d+)번", name)[0])
    np.testing.assert_allclose(example.ravel(), digits.test.images[index], atol=1 / 255)
    assert page.locator(".example[aria-pressed=true]").count() == 1
    drag(page, [(20, 260), (260, 260)])
    more = seen(page)
    assert np.all(more >= example)  # added to the example as it is
    assert more[26].sum() > 20
    assert "에 덧그림. ReLU: " in said(page)
    undo.click()
    np.testing.assert_array_equal(seen(page), example)
    undo.click()
    assert said(page) == empty
    drag(page, SEVEN)
    one = seen(page)
    drag(page, STROKE)
    undo.click()
    np.testing.assert_array_equal(seen(page), one)
    clear.click()
    undo.click()  # nothing is left to take back
    assert (said(page), seen(page).sum()) == (empty, 0)
    assert set(page.locator(".value").all_inner_texts()) == {""}


@needs_chromium
def test_the_keyboard_reaches_everything_but_the_pen(site: Path, page: Page) -> None:
    open_page(page, site)
    reached = []
    for _ in range(5):
        page.keyboard.press("Tab")
        reached.append(page.locator(":focus").evaluate("e => e.id || e.className"))
    assert reached == ["", "", "undo", "clear", "example"]  # two links first
    page.keyboard.press("Enter")
    assert said(page).startswith("예시(정답 0")


@needs_chromium
def test_a_finger_draws_on_a_phone_and_does_not_scroll(site: Path, page: Page) -> None:
    open_page(page, site, 390, 844)
    box, empty = page.locator("#board").bounding_box(), said(page)
    assert box is not None
    touch = page.context.new_cdp_session(page)

    def finger(kind: str, *heights: float) -> None:
        places = [{"x": box["x"] + 150, "y": box["y"] + y} for y in heights]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": places})

    finger("touchStart", 250)
    for y in range(240, 40, -20):
        finger("touchMove", y)
        assert page.locator(".best .value").count() == 2  # shown while it draws
    assert said(page) == empty
    finger("touchEnd")
    assert said(page).startswith("ReLU: ")  # but said once, at the end
    assert page.evaluate("scrollY") == 0


@needs_chromium
@pytest.mark.parametrize(
    ("width", "text", "theme"), [(320, 100, "dark"), (390, 200, "light"), (1280, 100, "dark")]
)
def test_nothing_overflows_the_board_stays_in_view_and_axe_finds_no_violation(
    site: Path, page: Page, width: int, text: int, theme: Any
) -> None:
    page.emulate_media(color_scheme=theme)
    open_page(page, site, width, 720)
    page.evaluate("percent => { document.documentElement.style.fontSize = `${percent}%` }", text)
    page.locator(".example").last.click()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    box = page.locator(".try" if width > 1024 else "#board").bounding_box()  # beside, above
    assert box is not None
    assert 0 <= box["y"] <= box["y"] + box["height"] <= 720
    results = Axe().run(page)
    assert results.violations_count == 0, results.generate_report()
