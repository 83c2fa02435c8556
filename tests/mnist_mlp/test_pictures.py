"""Galleries show the images they are given, with what is true of each under it."""

import numpy as np
import pytest
from made_up import dataset, result
from matplotlib.colors import to_rgb

from mnist_mlp import facts, pictures
from mnist_mlp.plots import BLUE, GREEN, VERMILION

IMAGES = dataset().test.images
RELU, LRELU = result({0: 6, 10: 6}), result({0: 6, 3: 8}, alpha=0.1)
NAMES = ("ReLU", "LReLU(0.1)")


def test_top3_draws_sixty_images_a_class_a_column_and_marks_the_shared() -> None:
    (ax,) = pictures.top3_images(RELU, LRELU, IMAGES, "mnist").axes
    assert len(ax.images) == len(ax.patches) == 60
    best = [RELU.top3[digit][0].index for digit in range(10)]  # the first row
    for drawn, index in zip(ax.images, best, strict=False):
        np.testing.assert_array_equal(np.ravel(drawn.get_array()), IMAGES[index])  # type: ignore[arg-type]
    left = [drawn.get_extent()[0] for drawn in ax.images[:11]]
    assert left[:10] == sorted(left[:10])
    assert left[10] == left[0]
    texts = [t.get_text() for t in ax.texts if "p = " in t.get_text()]
    assert len(texts) == 60
    both = sum("both" in text for text in texts)
    pairs = zip(RELU.top3, LRELU.top3, strict=True)
    assert both == 2 * sum(len({s.index for s in a} & {s.index for s in b}) for a, b in pairs)
    assert sum(p.get_edgecolor()[:3] == to_rgb(GREEN) for p in ax.patches) == both
    assert "true 4" in pictures.score_label(RELU.top3[4][0], 0, shared=False)
    assert "true" not in pictures.score_label(RELU.top3[4][0], 4, shared=False)


def test_an_image_that_one_network_reads_has_its_colour_and_both_answers() -> None:
    cases = facts.a_confusion(RELU, LRELU)["cases"]
    (ax,) = pictures.only_one_reads(cases, IMAGES, NAMES, "mnist").axes
    frames = [patch.get_edgecolor()[:3] for patch in ax.patches]
    assert frames == [to_rgb(BLUE), to_rgb(VERMILION)]  # images 3 and 10
    (text,) = [t.get_text() for t in ax.texts if "#10," in t.get_text()]
    assert text == "#10, true 0\nReLU 6, 100%\nLReLU 0, 100%"


@pytest.mark.filterwarnings("error")
def test_a_gallery_of_nothing_can_be_drawn() -> None:
    assert facts.a_confusion(RELU, RELU)["cases"] == []
    pictures.only_one_reads([], IMAGES, NAMES, "mnist").draw_without_rendering()


def test_images_that_nobody_reads_show_the_usual_answer() -> None:
    always = {image: (image % 10, 9, 0.75) for image in range(14)}
    (ax,) = pictures.nobody_reads(always, IMAGES, 60).axes
    assert len(ax.images) == 14
    assert "#13, true 3\n9 in 75%" in [t.get_text() for t in ax.texts]


def test_units_of_both_networks_share_one_colour_scale() -> None:
    units = {
        "ReLU": [(IMAGES[0], "#0"), (IMAGES[1], "#1 off")],
        "LReLU": [(3 * IMAGES[0], "#0"), (IMAGES[1], "#1 off")],
    }
    (ax,) = pictures.first_layer(units).axes
    half = 1.5 * IMAGES[0].max()  # of the largest weight
    assert [drawn.get_clim() for drawn in ax.images] == [pytest.approx((-half, half))] * 4
    assert " ".join(t.get_text() for t in ax.texts) == "ReLU #0 #1 off LReLU #0 #1 off"


@pytest.mark.filterwarnings("error")
def test_samples_leave_a_class_without_images_empty() -> None:
    train = dataset().train
    few = train.labels != 7
    (ax,) = pictures.samples(train.images[few], train.labels[few], "First").axes
    sevens = [np.asarray(drawn.get_array()) for drawn in ax.images[7::10]]
    assert len(ax.images) == 20
    assert not np.any(sevens)
