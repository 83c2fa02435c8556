"""The text says what the results say, whoever wins."""

import re

import pytest
from made_up import result

from mnist_mlp import commentary
from mnist_mlp.checks import Agreement
from mnist_mlp.recipe import Recipe

WRONG = {0: 6, 10: 6, 24: 9, 37: 2, 149: 4}  # true classes 0, 0, 4, 7, 9


def test_confusion_text_counts_what_the_matrices_hold() -> None:
    text = "\n".join(commentary.confusion(result("ReLU", WRONG), result("LReLU", {0: 6})))
    assert "ReLU는 195장(97.50%), LReLU는 199장(99.50%)" in text
    assert "LReLU가 4장 더 맞혔다" in text
    assert "+2.00%p(LReLU − ReLU)" in text
    assert (
        "ReLU가 더 많이 맞힌 클래스는 0개, LReLU가 더 많이 맞힌 클래스는 4개이고 6개는 같다" in text
    )
    assert "0을 6으로 2장" in text
    assert "ReLU만 맞힌 이미지는 0장, LReLU만 맞힌 이미지는 4장" in text
    assert "p값은 0.125" in text  # two-sided, 2 * 0.5**4
    assert "오류율이 다르다고 볼 근거가 없다" in text
    assert "차이가 가장 큰 클래스는 0으로, 1장 차이다" not in text


def test_confusion_text_turns_round_with_the_winner() -> None:
    text = "\n".join(commentary.confusion(result("ReLU", {}), result("LReLU", WRONG)))
    assert "ReLU가 5장 더 맞혔다" in text
    assert "−2.50%p" in text
    assert "ReLU는 한 장도 틀리지 않았다" in text


def test_confusion_text_of_a_tie() -> None:
    text = "\n".join(commentary.confusion(result("ReLU", {0: 6}), result("LReLU", {0: 6})))
    assert "맞힌 장수가 같다" in text
    assert "더 맞혔다" not in text
    assert "p값은 1.000" in text


def test_confusion_text_claims_a_difference_only_when_the_test_shows_it() -> None:
    many = {i: (i + 1) % 10 for i in range(12)}
    text = "\n".join(commentary.confusion(result("ReLU", {}), result("LReLU", many)))
    assert "오류율이 다르다고 볼 근거가 있다" in text


def test_top3_text_counts_the_shared_images() -> None:
    same = "\n".join(commentary.top3(result("ReLU", {}), result("LReLU", {})))
    assert "30장 가운데 30장이 두 망에 공통이다" in same
    other = "\n".join(commentary.top3(result("ReLU", {}), result("LReLU", {}, seed=1)))
    counted = re.search(r"30장 가운데 (\d+)장이", other)
    assert counted is not None
    assert int(counted.group(1)) < 30


def test_top3_text_names_an_image_of_another_class() -> None:
    wrong = result("ReLU", {})
    strange = result("LReLU", {0: 6})
    strange.run.logits[0, 6] = 90  # the surest "6" of all is a 0
    from mnist_mlp.evaluation import top_k_per_class

    top3 = top_k_per_class(strange.run.logits, strange.labels)
    object.__setattr__(strange, "top3", top3)
    assert "LReLU의 클래스 6에는 정답이 0인 #0" in "\n".join(commentary.top3(wrong, strange))
    assert "모두 그 클래스와 같다" in "\n".join(commentary.top3(wrong, wrong))


def test_curves_text_finds_the_lowest_validation_loss_and_the_gap() -> None:
    first, second = result("ReLU", {}), result("LReLU", {})
    text = "\n".join(commentary.curves(first, second))
    assert "ReLU의 검증 손실은 2 에폭에서 0.1000으로 가장 낮고" in text
    assert "끝까지 최솟값의 5% 안에 머물지 못한다(마지막에는 그보다 20.0% 높다)" in text
    assert "3 에폭 가운데 ReLU의 훈련 손실이 더 낮은 것은 0번" in text  # both are the same
    assert "마지막 검증 손실은 훈련 손실의 2배와 2배이다" in text
    assert "ReLU와 LReLU의 검증 손실은 최솟값을 지나 5% 넘게 다시 커졌다" in text
    for r in (first, second):
        r.run.history.validation_loss[-1] = 0.0999  # the last epoch is the best
        r.run.history.train_loss[-1] = 0.04
    text = "\n".join(commentary.curves(first, second))
    assert "과적합은 보이지 않는다" in text
    assert "다시 커졌다" not in text
    first.run.history.validation_loss[-1] = 0.101  # a little above the lowest
    text = "\n".join(commentary.curves(first, second))
    assert "5% 넘게 다시 커지지는 않았다" in text
    assert "+2.50%p" in text  # 0.99 - 0.965


def test_probabilities_are_printed_with_every_digit() -> None:
    r = result("ReLU", {})
    table = commentary.top3_table(r)
    assert repr(r.top3[3][0].probability) in table
    assert len(table.splitlines()) == 12


@pytest.mark.parametrize(
    ("digit", "pair", "expected"),
    [(0, "은/는", "0은"), (2, "은/는", "2는"), (3, "으로/로", "3으로"), (7, "으로/로", "7로"),
     (8, "으로/로", "8로"), (9, "을/를", "9를"), (6, "을/를", "6을"),
     ("0.0530", "으로/로", "0.0530으로"), ("0.048", "으로/로", "0.048로")],
)  # fmt: skip
def test_particles_follow_the_korean_reading_of_the_digit(
    digit: int | str, pair: str, expected: str
) -> None:
    assert commentary.particle(digit, pair) == expected


def test_one_run_states_the_sampling_error() -> None:
    text = commentary.one_run(result("ReLU", {0: 6}), result("LReLU", WRONG))
    assert "±2.16%p" in text  # 1.96 * sqrt(0.975 * 0.025 / 200)
    assert "2.00%p는 이 오차와 견주지 않고" in text


def test_agreement_text_follows_the_curves() -> None:
    recipe = Recipe()
    same, apart = Agreement([1e-16], [1e-16]), Agreement([1e-8, 1e-3], [1e-7, 1e-2])
    text = "\n".join(commentary.agreement({"ReLU, float64": same, "ReLU, float32": apart}, recipe))
    assert "기준을 만족하므로" in text
    assert "ReLU에서는 2번째 미니배치에서" in text
    undefined = Agreement([1e-16, float("nan")], [1e-16, float("nan")])
    text = commentary.agreement({"ReLU, float64": undefined, "ReLU, float32": same}, recipe)[0]
    assert "기준을 넘었다" in text
    wrong = commentary.agreement({"ReLU, float64": apart, "ReLU, float32": same}, recipe)
    assert "기준을 넘었다" in wrong[0]
    assert "아직 갈라지지 않았다" in wrong[1]


@pytest.mark.parametrize(
    ("loss", "epoch"),
    [([2.0, 1.0, 1.0], 1), ([2.0, 1.0, 1.2, 1.0], 3), ([2.0, 1.0, 1.2], 3), ([1.0], 0),
     ([1.04, 1.0], 0)],
)  # fmt: skip
def test_a_loss_has_settled_when_it_never_leaves_the_five_percent_again(
    loss: list[float], epoch: int
) -> None:
    assert commentary.settled(loss) == epoch


def test_ties_are_all_named() -> None:
    two = result("ReLU", {2: 3, 12: 3, 7: 1, 17: 1, 9: 0})
    text = "\n".join(commentary.confusion(two, result("LReLU", {})))
    assert "ReLU가 가장 많이 틀린 클래스는 2와 7로, 각각 2장이다" in text
    assert "차이가 가장 큰 클래스는 2와 7로, 각각 2장 차이다" in text
    assert "2를 3으로 2장, 7을 1로 2장, 9를 0으로 1장 잘못 읽었다" in text
    assert commentary.digits([1, 2, 3], "으로/로") == "1, 2와 3으로"


def test_the_text_about_the_top3_counts_whose_probabilities_are_nearer_to_one() -> None:
    first, second = result("ReLU", {}), result("LReLU", {}, seed=1)
    nearer = [
        sum(x[0].shortfall < y[0].shortfall for x, y in zip(a.top3, b.top3, strict=True))
        for a, b in ((first, second), (second, first))
    ]
    text = "\n".join(commentary.top3(first, second))
    assert f"클래스는 ReLU가 {nearer[0]}개, LReLU가 {nearer[1]}개이다" in text
