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
from playwright.sync_api import Browser, Page
from scipy import ndimage

from mnist_mlp import scratch, study, weights
from mnist_mlp.data import Dataset, Split, load
from mnist_mlp.evaluation import log_probabilities
from mnist_mlp.recipe import Recipe
from mnist_mlp.run import Run
from mnist_mlp.study import Task
from mnist_tools import draw
from mnist_tools.files import ReportError

OTHERS = {"01.html": "NumPy", "02.html": "PyTorch"}
REPOSITORY = Path(__file__).parents[2]


def as_mnist_was_made(images: Any) -> Any:
    """Return scikit-learn's digits, smoothly enlarged to 20 x 20 and centred by mass in 28 x 28."""
    pages = np.zeros((len(images), 28, 28), np.float32)
    for page, image in zip(pages, images.reshape(-1, 28, 28), strict=True):
        rows, columns = (np.flatnonzero(image.any(axis=axis)) for axis in (1, 0))
        ink = image[rows[0] : rows[-1] + 1 : 3, columns[0] : columns[-1] + 1 : 3]
        ink = ndimage.zoom(ink, 20 / max(ink.shape), order=1)[:20, :20]
        page[: ink.shape[0], : ink.shape[1]] = ink
        middle = np.subtract(13.5, ndimage.center_of_mass(page))
        page[:] = ndimage.shift(page, middle, order=1)
    return pages.reshape(-1, 784)


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    """Real handwriting in MNIST's form, for which no file is needed."""
    digits = load("sklearn-digits")
    splits = (digits.train, digits.validation, digits.test)
    return Dataset("idx-files", *(Split(as_mnist_was_made(s.images), s.labels) for s in splits))


@pytest.fixture(scope="module")
def runs(dataset: Dataset) -> dict[str, Run]:
    """Both networks, trained in a second, right on 97 % of the test images."""
    recipe = Recipe(hidden=(128, 64), epochs=12, batch_size=20, lr=0.02)
    recipes = {"ReLU": recipe, "LReLU": replace(recipe, alpha=0.1)}
    return {name: scratch.fit(dataset, recipe) for name, recipe in recipes.items()}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, dataset: Dataset, runs: dict[str, Run]) -> Path:
    """A folder with the weights and the page."""
    folder = tmp_path_factory.mktemp("site")
    content = weights.to_bytes("numpy", dataset.name, runs)
    (folder / "weights_scratch.npz").write_bytes(content)
    html = draw.page(folder / "weights_scratch.npz", dataset, [], OTHERS)
    (folder / draw.FILE).write_text(html, encoding="utf-8")
    return folder


# ---- what it is made of


def test_a_rounded_weight_is_off_by_half_a_step_of_its_row(runs: dict[str, Run]) -> None:
    model = copy.deepcopy(runs["LReLU"].model)
    model.affine[0].W[5] = 0  # a pixel that is never inked
    for layer, small in zip(model.affine, draw.rounded(model).affine, strict=True):
        step = np.abs(layer.W).max(axis=1, keepdims=True) / 127
        assert np.all(np.abs(layer.W - small.W) <= step * 0.5001)  # float32 rounding
        assert set(np.abs(draw.quantised(layer)[0]).max(axis=1)) <= {0, 127}
        np.testing.assert_array_equal(small.b, layer.b)


def test_the_page_says_how_many_answers_are_kept(
    site: Path, dataset: Dataset, runs: dict[str, Run]
) -> None:
    text = BeautifulSoup((site / draw.FILE).read_text(), "html.parser").get_text(" ", strip=True)
    for name, run in runs.items():
        answers = draw.rounded(run.model).predict(dataset.test.images)
        kept = np.sum(answers == run.logits.argmax(axis=1))
        assert re.search(rf"{re.escape(run.recipe.label)} 망은\s+{kept}장", text), name


def test_no_page_of_networks_that_eight_bits_change(
    site: Path, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(model: scratch.MLP) -> scratch.MLP:
        model = copy.deepcopy(model)
        model.affine[0].W[:] = 0
        return model

    monkeypatch.setattr(draw, "rounded", broken)
    with pytest.raises(ReportError, match=r"8-bit weights keep only \d+ of 360 answers"):
        draw.page(site / "weights_scratch.npz", dataset, [], OTHERS)


def test_a_page_of_full_size_is_at_most_two_megabytes(tmp_path: Path, dataset: Dataset) -> None:
    relu = Recipe(epochs=0)  # of the true widths, and wrong on nearly all: the most examples
    recipes = {"ReLU": relu, "LReLU": replace(relu, alpha=0.1)}
    runs = {name: scratch.fit(dataset, recipe) for name, recipe in recipes.items()}
    (tmp_path / "w.npz").write_bytes(weights.to_bytes("numpy", "idx-files", runs))
    assert len(draw.page(tmp_path / "w.npz", dataset, [], OTHERS).encode()) < 2_000_000


def examples(html: str) -> dict[str, tuple[str, list[int]]]:
    """Return the text under each heading and its test images, whose truths are checked."""
    found = {}
    for gallery in BeautifulSoup(html, "html.parser").select(".gallery"):
        heading, about = gallery.find_previous("h3"), gallery.find_previous("p")
        assert heading is not None
        assert about is not None
        labels = " ".join(str(button["aria-label"]) for button in gallery.select("button"))
        images = re.findall(r"테스트 이미지 ([\d,]+)번", labels)
        found[heading.text] = (about.text, [int(i.replace(",", "")) for i in images])
    return found


def test_the_examples_are_what_their_headings_say(
    site: Path, dataset: Dataset, runs: dict[str, Run]
) -> None:
    html = (site / draw.FILE).read_text(encoding="utf-8")
    for digit, image in re.findall(r"정답 (\d), 테스트 이미지 (\d+)번", html):
        assert int(digit) == dataset.test.labels[int(image)]
    shown = {heading: images for heading, (_, images) in examples(html).items()}
    best = {
        int(i)
        for run in runs.values()
        for i in np.argsort(-log_probabilities(run.logits), axis=0, kind="stable")[:3].ravel()
    }
    top3 = shown["점수가 가장 높은 이미지"]
    assert (set(top3), len(top3)) == (best, len(best))
    relu, lrelu = (run.logits.argmax(axis=1) == dataset.test.labels for run in runs.values())
    for only, expected in (("ReLU", relu & ~lrelu), ("LReLU(0.1)", lrelu & ~relu)):
        assert shown.get(f"{only} 망만 맞힌 이미지", []) == np.flatnonzero(expected).tolist()
    nobody = np.flatnonzero(~lrelu & ~relu).tolist()
    assert shown["아무도 맞히지 못한 이미지"] == nobody != []


def test_nobody_means_the_networks_of_the_same_training_where_the_study_has_some(
    site: Path, dataset: Dataset, runs: dict[str, Run]
) -> None:
    made = [
        replace(
            stored_run(Task("numpy", run.recipe, seed, dataset.name)),
            errors={4: (4, 9), 8 + seed: (8, 1)},
        )
        for run in runs.values()
        for seed in range(2)
    ]
    html = draw.page(site / "weights_scratch.npz", dataset, made, OTHERS)
    about, images = examples(html)["아무도 맞히지 못한 이미지"]
    assert "망 4개가 모두 틀린 1장" in about
    assert images == [4]


def test_a_scribble_is_made_as_mnist_was() -> None:
    for name, points in draw.SCRIBBLES.items():
        ink = draw.scribble(points).reshape(28, 28)
        rows, columns = np.flatnonzero((ink > 0.5).any(1)), np.flatnonzero((ink > 0.5).any(0))
        assert 19 <= max(np.ptp(rows), np.ptp(columns)) + 1 <= 21, name
        np.testing.assert_allclose(ndimage.center_of_mass(ink), 13.5, atol=0.1)
        assert ink.min() >= 0
        assert ink.max() == 1


def test_the_scribbles_are_counted_that_a_network_is_sure_of(runs: dict[str, Run]) -> None:
    model = runs["ReLU"].model
    images = np.stack([draw.scribble(p) for p in draw.SCRIBBLES.values()]).astype(np.float32)
    z = model.logits(images).astype(float)
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    assert draw.sure_answers(model, images) == np.sum(p.max(axis=1) >= 0.99)


@pytest.mark.parametrize(
    ("dataset_name", "activation", "content", "reason"),
    [
        ("sklearn-digits", "relu", None, "study.jsonl does not exist"),
        ("sklearn-digits", "relu", b"no archive", "is damaged or no weights file"),
        ("other", "relu", None, "the networks learned other"),
        ("sklearn-digits", "tanh", None, "the page knows ReLU and LReLU only"),
    ],
)
def test_a_page_that_cannot_be_made_is_one_line_and_no_error(
    dataset_name: str,
    activation: Any,
    content: bytes | None,
    reason: str,
    tmp_path: Path,
    trained: dict[str, Run],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    digits = load("sklearn-digits")
    monkeypatch.setattr(draw, "load", lambda name: digits)
    if "study" in reason:
        monkeypatch.setattr(study, "read", partial(study.read, tmp_path / "study.jsonl"))
    recipe = replace(trained["ReLU"].recipe, activation=activation)
    runs = {name: replace(run, recipe=recipe) for name, run in trained.items()}
    file = tmp_path / "weights_scratch.npz"
    file.write_bytes(content or weights.to_bytes("numpy", dataset_name, runs))
    assert draw.build(file, tmp_path, OTHERS) == {}
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith(f"알림: {tmp_path / draw.FILE}을 만들지 못했습니다: ")
    assert reason in line
    assert not (tmp_path / draw.FILE).exists()


# ---- in a browser

DIGITS = {  # a stroke on a board of 280 x 280; scikit-learn's writers gave the 1 a flag
    1: [(100, 90), (145, 40), (145, 240)],
    7: [(70, 50), (205, 45), (130, 240)],
}


def drag(page: Page, stroke: Sequence[tuple[float, float]]) -> None:
    """Draw a stroke with the mouse, slowly enough to be followed."""
    box = page.locator("#board").bounding_box()
    assert box is not None
    points = [
        (box["x"] + x * box["width"] / 280, box["y"] + y * box["width"] / 280) for x, y in stroke
    ]
    page.mouse.move(*points[0])
    page.mouse.down()
    for x, y in points[1:]:
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
    page.goto((site / draw.FILE).as_uri())


@needs_chromium
@pytest.mark.parametrize(("digit", "scale"), [(1, 1.0), (7, 1.0), (7, 0.4)])
def test_both_networks_read_what_the_mouse_draws_scaled_and_centred_as_mnist_was_made(
    site: Path, page: Page, digit: int, scale: float
) -> None:
    open_page(page, site)
    drag(page, [(20 + scale * x, 10 + scale * y) for x, y in DIGITS[digit]])
    assert re.fullmatch(rf"ReLU: {digit} \(.*%\), LReLU\(0.1\): {digit} \(.*%\)", said(page))
    best = page.locator(".best").evaluate_all("all => all.map(c => c.parentElement.rowIndex - 1)")
    assert best == [digit, digit]
    ink = seen(page)
    rows, columns = np.flatnonzero((ink > 0.5).any(1)), np.flatnonzero((ink > 0.5).any(0))
    assert abs(max(np.ptp(rows), np.ptp(columns)) + 1 - 20) <= 1
    np.testing.assert_allclose(ndimage.center_of_mass(ink), 13.5, atol=0.15)


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
    site: Path, page: Page, dataset: Dataset, runs: dict[str, Run]
) -> None:
    open_page(page, site)
    images = dataset.test.images[:100]
    answers = page.evaluate("images => images.map(mnistMlp.predict)", images.astype(float).tolist())
    for name, run in runs.items():
        p = np.array([answer[name] for answer in answers])
        expected = log_probabilities(draw.rounded(run.model).logits(images))
        np.testing.assert_allclose(p, np.exp(expected), atol=1e-5)  # float64 against float32
        assert np.sum(p.argmax(axis=1) != run.logits[:100].argmax(axis=1)) <= 1
    refused = page.evaluate("try { mnistMlp.predict([1]) } catch (error) { error.message }")
    assert "784 numbers" in refused


@needs_chromium
def test_an_example_is_one_click_away_and_undo_takes_back_a_stroke_and_clear_everything(
    site: Path, page: Page, dataset: Dataset
) -> None:
    open_page(page, site)
    empty, button = said(page), page.locator(".example").nth(35)
    undo, clear = (
        page.get_by_role("button", name=name) for name in ("한 획 되돌리기", "모두 지우기")
    )
    button.click()
    name, example = button.get_attribute("aria-label") or "", seen(page)
    assert said(page).startswith(f"예시({name}). ReLU: ")
    index = int(re.findall(r"(\d+)번", name)[0])
    np.testing.assert_allclose(example.ravel(), dataset.test.images[index], atol=1 / 255)
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
    drag(page, DIGITS[7])
    one = seen(page)
    drag(page, DIGITS[1])
    undo.click()
    np.testing.assert_array_equal(seen(page), one)
    clear.click()
    undo.click()  # nothing is left to take back
    assert (said(page), seen(page).sum()) == (empty, 0)
    assert page.locator(".best").count() == 0
    assert set(page.locator(".value").all_inner_texts()) == {""}


@needs_chromium
def test_the_keyboard_reaches_everything_but_the_pen(site: Path, page: Page) -> None:
    open_page(page, site)
    reached = []
    for _ in range(5):
        page.keyboard.press("Tab")
        reached.append(
            page.evaluate("document.activeElement.id || document.activeElement.className")
        )
    assert reached == ["", "", "undo", "clear", "example"]  # two links first
    page.keyboard.press("Enter")
    assert said(page).startswith("예시(정답 0")
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    assert page.locator(".example").nth(1).get_attribute("aria-pressed") == "true"


@needs_chromium
def test_a_finger_draws_on_a_phone_and_does_not_scroll(site: Path, page: Page) -> None:
    open_page(page, site, 390, 844)
    box = page.locator("#board").bounding_box()
    assert box is not None
    touch = page.context.new_cdp_session(page)

    def finger(kind: str, *points: tuple[float, float]) -> None:
        places = [{"x": box["x"] + x, "y": box["y"] + y} for x, y in points]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": places})

    finger("touchStart", (150, 250))
    answers = []
    for y in range(240, 40, -20):
        finger("touchMove", (150, y))
        answers.append(page.locator(".best .value").all_inner_texts())
    assert page.get_by_role("status").inner_text() == "아직 아무것도 그리지 않았다."
    finger("touchEnd")
    assert page.get_by_role("status").inner_text().startswith("ReLU: ")  # said once, at the end
    assert all(len(answer) == 2 for answer in answers)  # but shown while it draws
    assert page.evaluate("scrollY") == 0


@needs_chromium
@pytest.mark.parametrize(("width", "text"), [(320, 100), (390, 200), (768, 100)])
def test_nothing_overflows(site: Path, page: Page, width: int, text: int) -> None:
    open_page(page, site, width)
    page.evaluate("percent => { document.documentElement.style.fontSize = `${percent}%` }", text)
    page.locator(".example").nth(20).click()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator("#board").evaluate("b => b.getBoundingClientRect().top") >= 0  # in view


@needs_chromium
def test_the_answers_stay_in_view_beside_the_examples(site: Path, page: Page) -> None:
    open_page(page, site, 1280, 720)
    page.locator(".example").last.click()
    box = page.locator(".try").bounding_box()
    assert box is not None
    assert box["y"] >= 0
    assert box["y"] + box["height"] <= 720


@needs_chromium
@pytest.mark.parametrize(("width", "theme"), [(390, "light"), (1280, "dark")])
def test_axe_finds_no_violation(site: Path, page: Page, width: int, theme: Any) -> None:
    page.emulate_media(color_scheme=theme)
    open_page(page, site, width)
    page.locator(".example").first.click()
    results = Axe().run(page)
    assert results.violations_count == 0, results.generate_report()


@needs_chromium
def test_the_policy_lets_no_foreign_script_run(
    site: Path, browser: Browser, tmp_path: Path
) -> None:
    html = (site / draw.FILE).read_text(encoding="utf-8")
    evil = "<script>document.title = 'evil'</script><img src=x onerror=\"document.title = 'evil'\">"
    (tmp_path / draw.FILE).write_text(html.replace("<h1>", evil + "<h1>"), encoding="utf-8")
    context = browser.new_context(offline=True)
    page = context.new_page()
    page.goto((tmp_path / draw.FILE).as_uri())
    drag(page, DIGITS[7])
    assert "7 (" in said(page)  # our own script runs
    assert page.title() == draw.TITLE
    context.close()
