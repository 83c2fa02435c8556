"""The README's answer, picture and table, from the seed study and the results files."""

import io
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from mnist_mlp import findings, study, verdicts
from mnist_mlp.evaluation import mean_interval
from mnist_mlp.findings import Values, all_seeds, differences, measure
from mnist_mlp.prose import signed, text
from mnist_mlp.recipe import Recipe
from mnist_tools.files import NOTEBOOKS, ReportError, exit_code, replace_section, write_atomically

HEADER = """\
| 구현 | 활성화 함수 | **테스트** | 여러 시드의 테스트 | 이전 보고서 | 훈련 | 검증 |
|---|---|---:|---:|---:|---:|---:|"""
IMPLEMENTATIONS = {"numpy": "NumPy", "torch": "PyTorch"}
ANSWER = "answer.png"


def stored_test_accuracies() -> dict[str, Values]:
    """Return the stored study's test accuracies by implementation and label, a value a seed."""
    runs = study.read()
    return {name: measure(all_seeds(runs, name), "test_accuracy") for name in IMPLEMENTATIONS}


def table(results: Sequence[Mapping[str, Any]], stored: Mapping[str, Values]) -> str:
    """Return the table: a line for each of the two activations in each results file."""
    lines = [HEADER]
    for result in results:
        implementation = result["framework"]
        alphas = {"ReLU": 0.0, "LReLU": result["recipe"]["alpha"]}
        for name, alpha in alphas.items():
            run, label = result["runs"][name], Recipe(alpha=alpha).label
            seeds = stored[implementation][label]
            spread = f"{100 * seeds.mean():.2f} ± {100 * seeds.std(ddof=1):.2f}% ({len(seeds)}개)"
            cells = [
                IMPLEMENTATIONS[implementation],
                label,
                f"**{run['test_accuracy']:.2%}**",
                spread.replace(" ", "\N{NO-BREAK SPACE}"),
                f"{verdicts.EARLIER[implementation]['test'][name]:.2%}",
                f"{run['train_accuracy']:.2%}",
                f"{run['validation_accuracy']:.2%}",
            ]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def paired_differences() -> Values:
    """Return test accuracy minus ReLU's, a value a seed, in points, by slope and implementation."""
    runs = study.read()
    found = {
        f"{label}, {title}": 100 * values
        for name, title in IMPLEMENTATIONS.items()
        for label, values in differences(all_seeds(runs, name), "test_accuracy").items()
    }
    return dict(sorted(found.items()))


def picture(found: Values) -> Figure:
    """Draw the answer at a glance: every seed's difference, their mean and its 95 % interval."""
    figure = Figure(figsize=(5.6, 2.5), layout="constrained")
    ax = figure.subplots()
    for row, values in enumerate(found.values()):
        interval = mean_interval(values)
        ax.plot(values, [row] * len(values), "|", color="0.65", ms=9)
        ax.plot([interval.low, interval.high], [row, row], color="#D55E00", lw=5, alpha=0.5)
        ax.plot(interval.mean, row, "o", color="#D55E00", ms=7)
    ax.axvline(0, color="#0072B2", lw=1.5)  # ReLU's colour in the reports
    ax.set_yticks(range(len(found)), list(found))
    ax.invert_yaxis()
    ax.set_title("LReLU minus ReLU: test accuracy, in points", fontsize=11, loc="right")
    ax.set_xlabel("| one seed   \u25cf mean and its 95 % interval")
    ax.spines[["top", "right"]].set_visible(False)
    return figure


def lead() -> str:
    """Return the answers in words, which are the first sentences of the two notebooks."""
    runs, lines = study.read(), []
    for implementation, label in (("numpy", "LReLU(0.1)"), ("torch", "LReLU(0.3)")):
        known = verdicts.claims(runs, implementation, label)
        known |= findings.comparison(runs, implementation)
        said = text("answer", f"{implementation}_lead", known).replace("답: ", "")
        lines.append(f"- {IMPLEMENTATIONS[implementation]}: {said}")
    return "\n".join(lines)


def answer(found: Values) -> str:
    """Return the picture as Markdown; its alternative text says all of its numbers."""
    rows = []
    for label, values in found.items():
        interval = mean_interval(values)
        low, high = signed(interval.low, 2), signed(interval.high, 2)
        rows.append(f"{label} {signed(interval.mean, 2)} [{low}, {high}]")
    text = f"테스트 정확도의 차이, ReLU를 뺀 것(%p, 평균과 95% 신뢰구간): {'; '.join(rows)}"
    return f'<p><img src="figures/{ANSWER}" width="620" alt="{text}"></p>'


def draw(found: Values, root: Path) -> None:
    """Save the picture; it carries the sentence that it was drawn for."""
    png = io.BytesIO()
    about = {"Software": None, "Description": answer(found)}
    picture(found).savefig(png, dpi=220, metadata=about)
    write_atomically(root / "figures" / ANSWER, png.getvalue())


def update(root: Path) -> None:
    """Put the committed results and the study's answer into the README, if it has places for them.

    Raises ReportError if a notebook was run in Jupyter without MNIST.
    """
    readme = root / "README.md"
    if not readme.exists() or "<!-- results -->" not in readme.read_text(encoding="utf-8"):
        print(f"알림: {readme}에 <!-- results -->가 없어 표와 그림을 새로 만들지 않습니다.")
        return
    files = [root / "figures" / f"results_{kind}.json" for kind in NOTEBOOKS]
    results = [json.loads(file.read_text(encoding="utf-8")) for file in files]
    if any(result["dataset"] != "mnist" for result in results):
        raise ReportError("figures/ has results on other data, but the README is about MNIST")
    replace_section(readme, "results", table(results, stored_test_accuracies()))
    draw(found := paired_differences(), root)
    replace_section(readme, "answer", answer(found))
    replace_section(readme, "lead", lead())


if __name__ == "__main__":
    sys.exit(exit_code(lambda: update(Path()), needs="figures"))
