"""Other interpreters and other versions of the packages (needs an index of packages; minutes).

Interpreters without PyTorch: notebook 01 and what it uses work, notebook 02 says what is missing.
Dependency sets: the lowest versions that requirements.txt allows, the newest that there are, and
those of Colab.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mnist_mlp.data import load
from mnist_tools.compare import distant
from mnist_tools.files import read_notebook
from mnist_tools.rubric import output_problems
from mnist_tools.shown import Side

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
TOOLS = ("pytest", "papermill")
# Of PyTorch exactly the tested version, and that from where `make` takes it: without CUDA.
TORCH_INDEX = os.environ.get("TORCH_INDEX", "https://download.pytorch.org/whl/cpu")
(TORCH,) = re.findall(r"^torch==\S+", (ROOT / "constraints.txt").read_text(), re.MULTILINE)


def requirements(relation: str) -> list[str]:
    """Return requirements.txt with every lower bound turned into `relation`."""
    text = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    found = re.findall(r"^([a-z0-9-]+)>=([\d.]+)", text, re.MULTILINE)
    assert len(found) >= 10
    return [f"{name}{relation}{version}" for name, version in found]


def find(interpreter: str) -> str:
    """Return an interpreter that runs: on the PATH, or one of pyenv's."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"), "versions")
    for candidate in [interpreter, *map(str, pyenv.glob(f"*/bin/{interpreter}"))]:
        if shutil.which(candidate) and not subprocess.run([candidate, "--version"]).returncode:
            return candidate
    raise FileNotFoundError(f"{interpreter} is not installed")


class Environment:
    """A virtual environment that runs this repository, without another one's settings."""

    def __init__(self, folder: Path, interpreter: str, *packages: str) -> None:
        self.folder = folder
        subprocess.run([interpreter, "-m", "venv", folder], check=True)
        if TORCH in packages:
            self.install("--no-deps", "--index-url", TORCH_INDEX, TORCH)
        self.install(*packages)

    def install(self, *arguments: str) -> None:
        done = self.run("-m", "pip", "install", "--quiet", *arguments)
        assert done.returncode == 0, done.stderr[-3000:]

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        path = os.pathsep.join([str(ROOT / "src"), str(ROOT / "tests")])
        variables = {"PYTHONPATH": path, "MNIST_MLP_OUTPUT": str(self.folder)}
        return subprocess.run(
            [str(self.folder / "bin" / "python"), *arguments],
            cwd=ROOT / "notebooks",
            env=os.environ | variables,
            capture_output=True,
            text=True,
            check=False,
            timeout=900,
        )

    def check(self, torch: bool) -> None:
        """Run the package's own tests; without torch those alone that do not import it."""
        folder = ROOT / "tests" / "mnist_mlp"
        needs_torch = re.compile(r"^(import|from) (torch|.*\bframework\b)", re.MULTILINE)
        files = [
            str(path)
            for path in sorted(folder.glob("test_*.py"))
            if torch or not needs_torch.search(path.read_text(encoding="utf-8"))
        ]
        assert len(files) >= 3
        plugins = ["-p", "no:cacheprovider", "-p", "package_fixtures"]
        places = [f"--confcutdir={folder}", f"--rootdir={ROOT}", f"-c{ROOT / 'pyproject.toml'}"]
        done = self.run("-m", "pytest", *plugins, *places, *files)
        assert done.returncode == 0, done.stdout[-3000:]

    def papermill(self, name: str) -> subprocess.CompletedProcess[str]:
        """Execute a notebook on the embedded digits."""
        parameters = ["-p", "DATASET", "sklearn-digits", "-p", "EPOCHS", "2", "--no-progress-bar"]
        target = str(self.folder / f"{name}.ipynb")
        return self.run("-m", "papermill", f"{name}.ipynb", target, *parameters)


@pytest.mark.parametrize("interpreter", ["python3.12", "python3.13"])
def test_another_interpreter_without_torch(tmp_path: Path, interpreter: str) -> None:
    other = Environment(tmp_path / "venv", find(interpreter), *requirements(">="), *TOOLS)
    assert other.run("-c", "import torch").returncode != 0
    other.check(torch=False)
    done = other.papermill("01_scratch_mlp")
    assert done.returncode == 0, done.stderr[-3000:]
    done = other.papermill("02_framework_mlp")
    assert done.returncode != 0
    assert "PyTorch가 없습니다. 'pip install torch'로 설치한 뒤" in done.stderr


@pytest.mark.parametrize("relation", ["==", ">="], ids=["oldest", "newest"])
def test_the_oldest_and_the_newest_packages(tmp_path: Path, relation: str) -> None:
    other = Environment(tmp_path / "venv", sys.executable, TORCH, *requirements(relation), *TOOLS)
    other.check(torch=True)
    for name in ("01_scratch_mlp", "02_framework_mlp"):
        done = other.papermill(name)
        assert done.returncode == 0, done.stderr[-3000:]


def test_notebook_01_runs_in_full_and_in_silence_with_the_versions_of_colab(tmp_path: Path) -> None:
    colab = ("-c", str(ROOT / "constraints-colab.txt"))
    other = Environment(tmp_path / "venv", find("python3.13"), *colab, *requirements(">="))
    arguments = ["--execute", "--to", "notebook", "--output-dir", str(tmp_path)]
    done = other.run("-m", "nbconvert", *arguments, "01_scratch_mlp.ipynb")
    assert done.returncode == 0, done.stderr[-3000:]
    committed, again = (
        Side("", read_notebook(folder / "01_scratch_mlp.ipynb"))
        for folder in (ROOT / "notebooks", tmp_path)
    )
    assert not list(output_problems(again))
    assert again.results["dataset"] == load().name
    if again.results["dataset"] == "mnist":  # else there is nothing to compare with
        for name, run in again.results["runs"].items():
            assert not list(distant(committed.results["runs"][name], run)), name
