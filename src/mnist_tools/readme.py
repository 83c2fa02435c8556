"""The README's table of results, made from the notebooks' results files and the seed study."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mnist_mlp import study
from mnist_mlp.findings import EARLIER, Values, all_seeds, measure
from mnist_mlp.recipe import Recipe
from mnist_tools.files import NOTEBOOKS, replace_section

HEADER = """\
| 구현 | 활성화 함수 | 훈련 | 검증 | **테스트** | 여러 시드의 테스트 | 이전 보고서 |
|---|---|---:|---:|---:|---:|---:|"""
IMPLEMENTATIONS = {"numpy": "NumPy", "torch": "PyTorch"}


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
            cells = [
                IMPLEMENTATIONS[implementation],
                label,
                f"{run['train_accuracy']:.2%}",
                f"{run['validation_accuracy']:.2%}",
                f"**{run['test_accuracy']:.2%}**",
                f"{100 * seeds.mean():.2f} ± {100 * seeds.std(ddof=1):.2f}% ({len(seeds)}개)",
                f"{EARLIER[implementation][name]:.2%}",
            ]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def update(root: Path) -> None:
    """Put the table of the committed results into the README, if it has a place for it."""
    readme = root / "README.md"
    if readme.exists() and "<!-- results -->" in readme.read_text(encoding="utf-8"):
        files = [root / "figures" / f"results_{kind}.json" for kind in NOTEBOOKS]
        results = [json.loads(file.read_text(encoding="utf-8")) for file in files]
        replace_section(readme, "results", table(results, stored_test_accuracies()))
