"""Korean sentences made from results: a number in the report's text is never typed by hand."""

from collections.abc import Mapping, Sequence

import numpy as np

from mnist_mlp.checks import LOSS_LIMIT, WEIGHT_LIMIT, Agreement
from mnist_mlp.evaluation import Interval, Result, largest_top3_gap, mcnemar, shared_top3
from mnist_mlp.recipe import Recipe

FINAL_CONSONANT = set("013678")  # their Korean reading ends in one: 영 일 삼 육 칠 팔
RIEUL = set("178")  # and of those the ones that end in ㄹ, after which "로" stays


def particle(number: int | str, pair: str) -> str:
    """Return a number with the particle that its reading takes: ``particle("0.53", "은/는")``."""
    after_consonant, after_vowel = pair.split("/")
    last = str(number)[-1]
    consonant = last in FINAL_CONSONANT and not (pair == "으로/로" and last in RIEUL)
    return f"{number}{after_consonant if consonant else after_vowel}"


def power(value: float) -> str:
    r"""Format a small number for a sentence: ``power(2.9e-8)`` is ``$2.9 \times 10^{-8}$``."""
    if value == 0 or not np.isfinite(value):
        return f"{value:g}"
    mantissa, exponent = f"{value:.1e}".split("e")
    return f"${mantissa} \\times 10^{{{int(exponent)}}}$"


def points(difference: float, digits: int = 2) -> str:
    """Format a difference of fractions in percentage points, with its sign."""
    return f"{100 * difference:+.{digits}f}%p".replace("-", "−")


def interval_points(interval: Interval) -> str:
    """Format a mean difference and its 95 % interval in percentage points."""
    low, high = (points(value, 3) for value in (interval.low, interval.high))
    return f"{points(interval.mean, 3)} (95% 신뢰구간 {low.removesuffix('%p')} ~ {high})"


def scores(pair: Sequence[Result]) -> str:
    """Return the table of accuracies and losses."""
    rows = ["| 활성화 함수 | 훈련 정확도 | 검증 정확도 | 테스트 정확도 | 훈련 손실 | 검증 손실 | 테스트 손실 |",
            "|---|---:|---:|---:|---:|---:|---:|"]  # fmt: skip
    for r in pair:
        h = r.run.history
        rows.append(
            f"| {r.run.recipe.activation} | {h.train_accuracy[-1]:.2%} | "
            f"{h.validation_accuracy[-1]:.2%} | {r.test_accuracy:.2%} | {h.train_loss[-1]:.4f} | "
            f"{h.validation_loss[-1]:.4f} | {r.test_loss:.4f} |"
        )
    return "\n".join(rows)


def winner(first: float, second: float, names: tuple[str, str], equal: str, more: str) -> str:
    """Choose among "A가 더 ...", "B가 더 ..." and the sentence for a tie."""
    if first == second:
        return equal
    return f"{names[0] if first > second else names[1]}{more}"


def confusion(first: Result, second: Result) -> list[str]:
    """Read the two confusion matrices: totals, classes, frequent confusions, the paired test."""
    n = len(first.labels)
    right = [int(np.trace(r.confusion)) for r in (first, second)]
    names = (first.name, second.name)
    recall = [np.diag(r.confusion) for r in (first, second)]
    better = [int(np.sum(recall[0] > recall[1])), int(np.sum(recall[0] < recall[1]))]
    gap = recall[1] - recall[0]
    widest = int(np.abs(gap).max())
    widest_classes = [int(digit) for digit in np.flatnonzero(np.abs(gap) == widest)]
    test = mcnemar(first.correct, second.correct)
    total = winner(right[0], right[1], names, "두 망이 맞힌 장수가 같다",
                   f"가 {abs(right[0] - right[1])}장 더 맞혔다")  # fmt: skip
    return [
        f"**전체.** 테스트 이미지 {n:,}장 가운데 {first.name}는 {right[0]:,}장"
        f"({first.test_accuracy:.2%}), {second.name}는 {right[1]:,}장({second.test_accuracy:.2%})을 "
        f"맞혔다. {total}. 정확도의 차이는 {points(second.test_accuracy - first.test_accuracy)}"
        f"({second.name} − {first.name})이다.",
        f"**클래스별.** {first.name}가 더 많이 맞힌 클래스는 {better[0]}개, {second.name}가 더 많이 "
        f"맞힌 클래스는 {better[1]}개이고 {10 - sum(better)}개는 같다. "
        + (
            f"차이가 가장 큰 클래스는 {digits(widest_classes, '으로/로')}, {each(widest_classes)}{widest}장 차이다. "
            if widest
            else ""
        )
        + hardest(first, second),
        "**자주 나오는 혼동.** " + " ".join(frequent_confusions(r) for r in (first, second)),
        f"**같은 이미지로 비교하기.** {first.name}만 맞힌 이미지는 {test.only_first}장, "
        f"{second.name}만 맞힌 이미지는 {test.only_second}장이다. 두 망의 오류율이 같다면 이 "
        f"{test.only_first + test.only_second}장이 어느 쪽의 것인지는 동전 던지기와 같고, 그 이항분포로 계산한 정확 맥니마 "
        f"검정의 p값은 {test.p_value:.3f}이다. 따라서 유의수준 5%에서 학습된 이 두 망의 오류율이 "
        + ("다르다고 볼 근거가 있다." if test.p_value < 0.05 else "다르다고 볼 근거가 없다.")
        + " 다른 시드에서도 그런지는 9절에서 본다.",
    ]  # fmt: skip


def digits(classes: Sequence[int], pair: str) -> str:
    """List classes, the last with its particle: "2와 7로", "1, 2, 3으로"."""
    *before, last = classes
    joined = "".join(f"{digit}, " for digit in before[:-1])
    joined += f"{particle(before[-1], '과/와')} " if before else ""
    return joined + particle(last, pair)


def each(classes: Sequence[int]) -> str:
    """Return the word that a number needs which belongs to each of several classes."""
    return "각각 " if len(classes) > 1 else ""


def hardest(first: Result, second: Result) -> str:
    """Name the class in which each network makes most errors."""
    errors = [r.confusion.sum(axis=1) - np.diag(r.confusion) for r in (first, second)]
    worst = [[int(digit) for digit in np.flatnonzero(e == e.max())] for e in errors]
    if worst[0] == worst[1] and len(worst[0]) == 1:
        return (
            f"두 망 모두 클래스 {particle(worst[0][0], '을/를')} 가장 많이 틀렸다"
            f"({first.name} {errors[0].max()}장, {second.name} {errors[1].max()}장)."
        )
    return " ".join(
        f"{r.name}가 가장 많이 틀린 클래스는 {digits(w, '으로/로')}, {each(w)}{e.max()}장이다."
        for r, w, e in zip((first, second), worst, errors, strict=True)
    )


def frequent_confusions(result: Result, k: int = 3) -> str:
    """Name the k most frequent confusions of a network, and those as frequent as the last."""
    wrong = result.confusion - np.diag(np.diag(result.confusion))
    order = np.argsort(-wrong, axis=None, kind="stable")
    least = max(1, int(wrong.flat[order[k - 1]]))
    pairs = [(int(i) // 10, int(i) % 10) for i in order if wrong.flat[i] >= least]
    if not pairs:
        return f"{result.name}는 한 장도 틀리지 않았다."
    listed = ", ".join(
        f"{particle(true, '을/를')} {particle(guess, '으로/로')} {wrong[true, guess]}장"
        for true, guess in pairs
    )
    return f"{result.name}는 {listed} 잘못 읽었다."


def top3_table(result: Result) -> str:
    """Return the table of the three highest probabilities of every class, all digits."""
    rows = [
        "| 클래스 | 1위 확률 | 2위 확률 | 3위 확률 | 1위의 1 − p | 3위의 1 − p |",
        "|---:|---|---|---|---:|---:|",
    ]
    for digit, best in enumerate(result.top3):
        values = " | ".join(repr(s.probability) for s in best)
        rows.append(f"| {digit} | {values} | {best[0].shortfall:.2e} | {best[-1].shortfall:.2e} |")
    return "\n".join(rows)


def top3(first: Result, second: Result) -> list[str]:
    """Read the top-3 images: how certain, how different, which images both networks chose."""
    shared = shared_top3(first, second)
    everything = [s for r in (first, second) for best in r.top3 for s in best]
    lowest = min(everything, key=lambda s: s.log_probability)
    wrong = [
        (r.name, digit, s)
        for r in (first, second)
        for digit, best in enumerate(r.top3)
        for s in best
        if s.label != digit
    ]
    none = [str(digit) for digit, count in enumerate(shared) if count == 0]
    same = [str(digit) for digit, count in enumerate(shared) if count == len(first.top3[0])]
    total = sum(len(best) for best in first.top3)
    saturated = [saturation(r) for r in (first, second)]
    surer = [
        sum(a[0].shortfall < b[0].shortfall for a, b in zip(x, y, strict=True))
        for x, y in ((first.top3, second.top3), (second.top3, first.top3))
    ]
    return [
        f"**확률의 크기.** 두 망의 순위 {len(everything)}자리 가운데 확률이 가장 낮은 것은 1에서 {power(lowest.shortfall)} 모자란다. "
        f"같은 순위끼리 비교한 두 망의 확률 차이는 가장 커도 {power(largest_top3_gap(first, second))}이다. "
        + (
            "순위에 오른 이미지의 정답은 모두 그 클래스와 같다."
            if not wrong
            else "다만 "
            + ", ".join(f"{n}의 클래스 {d}에는 정답이 {s.label}인 #{s.index}" for n, d, s in wrong)
            + "이 들어 있다."
        ),
        f"**어느 망의 확률이 1에 더 가까운가.** 1위 이미지의 1 − p가 더 작은 클래스는 {first.name}가 {surer[0]}개, "
        f"{second.name}가 {surer[1]}개이다. 확률이 1에 더 가깝다고 정확도가 더 높은 것은 아니다. 표의 확률은 float64로 적었고, "
        "1에 아주 가까우면 오른쪽의 1 − p가 더 정확하다.",
        f"**순위의 기준.** float32 확률로는 {first.name}에서 {saturated[0]:,}장, {second.name}에서 "
        f"{saturated[1]:,}장의 최고 확률이 정확히 1.0이 되어 순위를 가릴 수 없다. 그래서 로그 확률 "
        "$-\\log(1+\\sum_{j \\ne c} e^{z_j - z_c})$의 순서로 골랐고, 그림에는 1에서 모자라는 양을 적었다.",
        f"**두 망이 함께 고른 이미지.** {total}장 가운데 {sum(shared)}장이 두 망에 공통이다. "
        + (f"세 장이 모두 같은 클래스는 {', '.join(same)}이다. " if same else "세 장이 모두 같은 클래스는 없다. ")
        + (f"한 장도 겹치지 않는 클래스는 {', '.join(none)}이다." if none else "모든 클래스에서 적어도 한 장이 겹친다."),
    ]  # fmt: skip


def saturation(result: Result) -> int:
    """Count the test images whose highest softmax probability is exactly 1 in float32."""
    z = result.run.logits.astype(np.float32)
    exp = np.exp(z - z.max(axis=1, keepdims=True))
    return int(np.sum((exp / exp.sum(axis=1, keepdims=True)).max(axis=1) == 1))


def curves(first: Result, second: Result) -> list[str]:
    """Read the learning curves: start, first epoch, end of the descent, generalisation gap."""
    a, b = first.run.history, second.run.history
    last = len(a.train_loss) - 1
    if last == 0:
        return ["학습을 하지 않았으므로(0 에폭) 읽을 곡선이 없다."]
    return [
        f"**시작.** 첫 에폭 전의 검증 손실은 {first.name} {a.validation_loss[0]:.3f}, {second.name} "
        f"{b.validation_loss[0]:.3f}이다. 열 클래스를 똑같이 볼 때의 손실은 $\\ln 10 \\approx {np.log(10):.3f}$이며, "
        "배우기 전의 망은 우연히 몇몇 클래스로 치우쳐 있어 이와 조금 다르다.",
        f"**첫 에폭.** 한 에폭 뒤의 훈련 정확도는 {first.name} {a.train_accuracy[1]:.2%}, {second.name} "
        f"{b.train_accuracy[1]:.2%}이고, 검증 정확도는 각각 {a.validation_accuracy[1]:.2%}, "
        f"{b.validation_accuracy[1]:.2%}이다.",
        "**두 망의 비교.** " + compared(first, second),
        "**검증 손실이 거의 줄지 않는 때.** " + " ".join(settling(r) for r in (first, second)),
        "**일반화 간격.** " + " ".join(gap(r) for r in (first, second)) + " 훈련 손실은 두 망 모두 "
        "드롭아웃을 끄고 에폭이 끝날 때 쟀으므로 검증 손실과 바로 견줄 수 있다.",
    ]


def compared(first: Result, second: Result) -> str:
    """Say in how many epochs which network has the lower losses, and whether they overfit."""
    a, b = first.run.history, second.run.history
    train = sum(x < y for x, y in zip(a.train_loss[1:], b.train_loss[1:], strict=True))
    validation = sum(
        x < y for x, y in zip(a.validation_loss[1:], b.validation_loss[1:], strict=True)
    )
    ratios = [h.validation_loss[-1] / h.train_loss[-1] for h in (a, b)]
    text = (
        f"{len(a.train_loss) - 1} 에폭 가운데 {first.name}의 훈련 손실이 더 낮은 것은 {train}번, 검증 손실이 더 낮은 것은 "
        f"{validation}번이다. 마지막 훈련 손실은 {first.name} {a.train_loss[-1]:.4f}, {second.name} "
        f"{b.train_loss[-1]:.4f}이고, 검증 손실은 각각 {a.validation_loss[-1]:.4f}, {b.validation_loss[-1]:.4f}이다."
    )
    if min(ratios) > 2:
        text += f" 마지막 검증 손실은 훈련 손실의 {ratios[0]:.0f}배와 {ratios[1]:.0f}배이다. "
        rising = [
            r.name
            for r, h in ((first, a), (second, b))
            if h.validation_loss[-1] > 1.05 * min(h.validation_loss)
        ]
        falling = all(h.validation_loss[-1] == min(h.validation_loss) for h in (a, b))
        text += (
            f"{'와 '.join(rising)}의 검증 손실은 최솟값을 지나 5% 넘게 다시 커졌다. 그 뒤의 학습은 과적합이다."
            if rising
            else f"그러나 검증 손실도 마지막 에폭에 가장 낮으므로, {len(a.train_loss) - 1} 에폭 안에서 검증 손실이 다시 커지는 "
            "과적합은 보이지 않는다."
            if falling
            else "그러나 검증 손실이 최솟값에서 5% 넘게 다시 커지지는 않았다."
        )
    return text


def settled(loss: Sequence[float]) -> int:
    """Return the epoch from which a loss stays within 5 % of its minimum; its length if never."""
    outside = np.flatnonzero(np.array(loss) > 1.05 * min(loss))
    return int(outside[-1]) + 1 if len(outside) else 0


def settling(result: Result) -> str:
    """Say when the validation loss is lowest and from when on it hardly falls."""
    loss = result.run.history.validation_loss
    best = int(np.argmin(loss))
    near, end = settled(loss), loss[-1] / loss[best] - 1
    stays = (
        f"{near} 에폭부터는 계속 최솟값의 5% 안에 머문다"
        if near < len(loss)
        else "끝까지 최솟값의 5% 안에 머물지 못한다"
    )
    tail = "(더 줄 수도 있다)" if best == len(loss) - 1 else f"(마지막에는 그보다 {end:.1%} 높다)"
    lowest = particle(f"{loss[best]:.4f}", "으로/로")
    return f"{result.name}의 검증 손실은 {best} 에폭에서 {lowest} 가장 낮고, {stays}{tail}."


def gap(result: Result) -> str:
    """Say how much better the network is on training than on validation images at the end."""
    h = result.run.history
    return (
        f"{result.name}는 마지막에 훈련 {h.train_accuracy[-1]:.2%}, 검증 "
        f"{h.validation_accuracy[-1]:.2%}로 간격이 "
        f"{points(h.train_accuracy[-1] - h.validation_accuracy[-1])}이고, 손실은 "
        f"각각 {h.train_loss[-1]:.4f}, {h.validation_loss[-1]:.4f}이다."
    )


def one_run(first: Result, second: Result) -> str:
    """Say how uncertain a single test accuracy is, and what it cannot be used for."""
    n = len(first.labels)
    half = [1.96 * np.sqrt(r.test_accuracy * (1 - r.test_accuracy) / n) for r in (first, second)]
    difference = abs(first.test_accuracy - second.test_accuracy)
    return (
        f"테스트 이미지가 {n:,}장이므로 정확도 하나의 95% 오차 한계는 약 ±{100 * max(half):.2f}%p이다. 그러나 두 망은 같은 "
        f"이미지로 평가하므로, 차이 {100 * difference:.2f}%p는 이 오차와 견주지 않고 6절에서 이미지를 짝지어 검정한다. 시드를 "
        "바꾸면 훈련/검증 분할, 초기 가중치, 미니배치 순서, 드롭아웃이 모두 바뀐다. 그래서 활성화 함수 자체의 우열은 9절의 시드 연구에서 다룬다."
    )


def agreement(curves: Mapping[str, Agreement], recipe: Recipe) -> list[str]:
    """Say how closely two implementations agree in float64, and where float32 parts."""
    exact = {name: c for name, c in curves.items() if name.endswith("float64")}
    single = {name: c for name, c in curves.items() if name.endswith("float32")}
    # np.max, unlike max, passes an undefined value on, and that is below no limit.
    loss = float(np.max([c.loss for c in exact.values()]))
    weights = float(np.max([c.weights for c in exact.values()]))
    steps = len(next(iter(exact.values())).loss)
    partings, parted = [], False
    for name, c in single.items():
        apart = np.flatnonzero(np.array(c.weights) > 1e-5)
        parted |= len(apart) > 0
        when = (
            f"{apart[0] + 1}번째 미니배치에서 $10^{{-5}}$을 넘어"
            if len(apart)
            else "끝까지 $10^{-5}$을 넘지 않으며"
        )
        partings.append(f"{name.split(',')[0]}에서는 {when} 마지막에 {power(c.weights[-1])}")
    inputs = steps * recipe.batch_size * sum(recipe.hidden)
    reason = (
        " 갈라지는 까닭은 다음과 같이 짐작한다(부호가 바뀌는 순간을 직접 재지는 않았다). 은닉 유닛의 입력은 모두 약 "
        f"{inputs / 1e4:,.0f}만 번 계산된다. 크기가 1쯤인 값이 0에서 float32의 반올림 오차 $10^{{-7}}$ 안에 들 기대 횟수는 "
        f"{inputs * 1e-7:.1g}번 안팎이고, 그때 두 구현에서 부호가 갈리면 그 유닛의 기울기가 달라진다. 그 차이가 다른 유닛의 부호를 또 "
        "바꾸어 점점 커진다. float64의 반올림 오차 $10^{-16}$으로는 같은 기대 횟수가 "
        f"$10^{{{np.floor(np.log10(inputs * 1e-16)):.0f}}}$번 안팎에 지나지 않는다. 따라서 float32로 20 에폭을 학습한 두 망의 정확도가 조금 다르더라도 구현이 "
        "틀렸다는 뜻은 아니다."
    )
    passed = loss < LOSS_LIMIT and weights < WEIGHT_LIMIT
    return [
        f"**float64.** 미니배치 {steps}개를 학습하는 동안 손실의 차이는 가장 커도 {power(loss)}, 가중치의 상대 차이는 {power(weights)}이다. "
        + ("기준을 만족하므로, 손으로 쓴 역전파와 자동 미분은 반올림 오차 범위 안에서 같은 값을 낸다."
           if passed else "**기준을 넘었다.** 두 구현 가운데 하나가 다른 계산을 하고 있다."),
        f"**float32.** 가중치의 상대 차이는 {', '.join(partings)}이다."
        + (reason if parted else " 이 실행에서는 두 구현이 아직 갈라지지 않았다."),
    ]  # fmt: skip
