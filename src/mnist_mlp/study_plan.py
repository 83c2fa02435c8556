"""What the seed study trains: the recipes that are compared, their seeds, and every run once."""

from dataclasses import dataclass, replace

from mnist_mlp.recipe import Recipe

ALPHAS, TORCH_ALPHAS = (0.0, 0.01, 0.1, 0.3), (0.0, 0.3)
# More seeds are trained by raising a number: `make study` keeps what the file holds.
SCRATCH_SEEDS, TORCH_SEEDS, LADDER_SEEDS, SEARCH_SEEDS = range(10), range(5), range(5), range(3)

CHOSEN = Recipe()
BASE = Recipe(
    lr=0.1, momentum=0.9, weight_decay=5e-5, input_dropout=0.1, hidden_dropout=0.1
)  # where the search began
PLAIN = replace(
    CHOSEN, momentum=0.0, decay="constant", weight_decay=0.0, input_dropout=0.0, hidden_dropout=0.0
)
LADDER = {
    "SGD": PLAIN,
    "+ momentum": replace(PLAIN, momentum=CHOSEN.momentum),
    "+ decay": replace(PLAIN, momentum=CHOSEN.momentum, decay="linear"),
    "+ L2": replace(CHOSEN, input_dropout=0.0, hidden_dropout=0.0),
    "+ dropout": CHOSEN,
}
# One change at a time, then the two changes that did best together, all with ReLU. The best six on
# validation data also with LReLU(0.1): the chosen recipe has the best mean of the two.
SEARCH = {
    "dropout 0.1 / 0.1": BASE,
    "dropout 0.1 / 0.2": replace(BASE, hidden_dropout=0.2),
    "dropout 0.2 / 0.2": replace(BASE, input_dropout=0.2, hidden_dropout=0.2),
    "dropout 0.2 / 0.3": replace(BASE, input_dropout=0.2, hidden_dropout=0.3),
    "lr 0.2": replace(BASE, lr=0.2),
    "lr 0.2, dropout 0.2 / 0.2": replace(BASE, lr=0.2, input_dropout=0.2, hidden_dropout=0.2),
    "L2 1e-4": replace(BASE, weight_decay=1e-4),
    "momentum 0.95, lr 0.05": replace(BASE, momentum=0.95, lr=0.05),
    "momentum 0.95, lr 0.05, L2 1e-4": replace(BASE, momentum=0.95, lr=0.05, weight_decay=1e-4),
    "momentum 0.95, lr 0.05, L2 1e-4, dropout 0.1 / 0.2": replace(
        BASE, momentum=0.95, lr=0.05, weight_decay=1e-4, hidden_dropout=0.2
    ),
}

FINALISTS = (
    "momentum 0.95, lr 0.05, L2 1e-4",
    "momentum 0.95, lr 0.05",
    "L2 1e-4",
    "lr 0.2",
    "dropout 0.1 / 0.1",
    "dropout 0.1 / 0.2",
)
LEAKY_FINALISTS = {name: replace(SEARCH[name], alpha=0.1) for name in FINALISTS}
# Where could the activation matter? 5 epochs without dropout, everything else as chosen.
SHORT = replace(CHOSEN, epochs=5, input_dropout=0.0, hidden_dropout=0.0)
STRESS = {
    "512-256": SHORT,
    "학습률 4배": replace(SHORT, lr=4 * SHORT.lr),
    "좁고 깊은 망 (16×8층)": replace(SHORT, hidden=(16,) * 8),
    "더 좁은 망 (8×8층)": replace(SHORT, hidden=(8,) * 8),
    "너무 작은 초기화 (64×6층, 1/4배)": replace(SHORT, hidden=(64,) * 6, init_gain=0.25),
}
STRESS_ALPHAS, STRESS_SEEDS = (0.0, 0.1, 0.3), range(5)


@dataclass(frozen=True)
class Task:
    """One run of the study."""

    framework: str
    recipe: Recipe
    seed: int
    dataset: str = "mnist"

    @property
    def key(self) -> tuple[str, str, int, str]:
        """What identifies the run in the file."""
        return (self.framework, self.recipe.digest(), self.seed, self.dataset)


def plan(dataset: str = "mnist") -> list[Task]:
    """Return every run that the study consists of, each once, the search first."""
    searched = [*SEARCH.values(), *LEAKY_FINALISTS.values()]
    tasks = [Task("numpy", recipe, s) for recipe in searched for s in SEARCH_SEEDS]
    tasks += [Task("numpy", replace(CHOSEN, alpha=a), s) for a in ALPHAS for s in SCRATCH_SEEDS]
    tasks += [Task("torch", replace(CHOSEN, alpha=a), s) for s in TORCH_SEEDS for a in TORCH_ALPHAS]
    tasks += [Task("numpy", recipe, s) for recipe in LADDER.values() for s in LADDER_SEEDS]
    tasks += [
        Task("numpy", replace(recipe, alpha=a), s)
        for recipe in STRESS.values()
        for s in STRESS_SEEDS
        for a in STRESS_ALPHAS
    ]
    return list({task.key: task for task in (replace(t, dataset=dataset) for t in tasks)}.values())
