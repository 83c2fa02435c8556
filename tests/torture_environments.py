"""Other interpreters and other versions of the packages (needs an index of packages; minutes).

Interpreters without PyTorch: notebook 01 and what it uses work, notebook 02 says what is missing.
Dependency sets: the lowest versions that requirements.txt allows, and the newest that there are.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
INTERPRETERS = ("python3.12", "python3.13")
TOOLS = ("pytest", "hypothesis", "papermill")
WITHOUT_TORCH = (
    *("test_data", "test_evaluation", "test_commentary", "test_study_commentary"),
    *("test_plots", "test_notebook_helpers"),
)
WITH_TORCH = (*WITHOUT_TORCH, "test_layers", "test_scratch", "test_framework")
EXPECTED_VERSIONS = re.compile(r"^([a-z-]+)>=([\d.]+)", re.MULTILINE)
# Of PyTorch exactly the tested version: an index without CPU builds has gigabytes for another one.
(TORCH,) = re.findall(r"^torch==\S+", (ROOT / "constraints.txt").read_text(), re.MULTILINE)


def requirements(relation: str) -> list[str]:
    """Return requirements.txt with every lower bound turned into ``==`` (oldest) or kept."""
    found = EXPECTED_VERSIONS.findall((ROOT / "requirements.txt").read_text(encoding="utf-8"))
    assert len(found) >= 10
    return [f"{name}{relation}{version}" for name, version in found if name != "torch"]


def find(interpreter: str) -> str:
    """Return an interpreter that runs: on the PATH, or one of pyenv's."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"), "versions")
    for candidate in [interpreter, *map(str, pyenv.glob(f"*/bin/{interpreter}"))]:
        if shutil.which(candidate) and not subprocess.run([candidate, "--version"]).returncode:
            return candidate
    raise FileNotFoundError(f"{interpreter} is not installed")


def environment(folder: Path, interpreter: str, *packages: str) -> list[str]:
    """Make a virtual environment with the packages; return how to run its Python."""
    subprocess.run([interpreter, "-m", "venv", folder], check=True)
    python = str(folder / "bin" / "python")
    subprocess.run([python, "-m", "pip", "install", "--quiet", *packages], check=True, timeout=900)
    return [python]


def run(python: list[str], *arguments: str, output: Path) -> subprocess.CompletedProcess[str]:
    """Run the environment's Python on this repository, without another one's settings."""
    variables = os.environ | {"PYTHONPATH": str(ROOT / "src"), "MNIST_MLP_OUTPUT": str(output)}
    variables.pop("TORTURE", None)
    return subprocess.run(
        [*python, *arguments],
        cwd=ROOT / "notebooks", env=variables, capture_output=True, text=True, check=False,
        timeout=900,
    )  # fmt: skip


def check(python: list[str], modules: tuple[str, ...], output: Path) -> None:
    """Run test modules in an environment."""
    files = [str(ROOT / "tests" / f"{module}.py") for module in modules]
    options = ["-p", "no:cacheprovider", "--rootdir", str(ROOT), "-c", str(ROOT / "pyproject.toml")]
    done = run(python, "-m", "pytest", *options, *files, output=output)
    assert done.returncode == 0, done.stdout[-3000:]


def papermill(python: list[str], name: str, output: Path) -> subprocess.CompletedProcess[str]:
    """Execute a notebook on the embedded digits."""
    parameters = ["-p", "DATASET", "sklearn-digits", "-p", "EPOCHS", "2", "--no-progress-bar"]
    target = str(output / f"{name}.ipynb")
    return run(python, "-m", "papermill", f"{name}.ipynb", target, *parameters, output=output)


@pytest.mark.parametrize("interpreter", INTERPRETERS)
def test_another_interpreter_without_torch(tmp_path: Path, interpreter: str) -> None:
    python = environment(tmp_path / "venv", find(interpreter), *requirements(">="), *TOOLS)
    assert run(python, "-c", "import torch", output=tmp_path).returncode != 0
    check(python, WITHOUT_TORCH, tmp_path)
    done = papermill(python, "01_scratch_mlp", tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    done = papermill(python, "02_framework_mlp", tmp_path)
    assert done.returncode != 0
    assert "PyTorch가 없습니다. 'pip install torch'로 설치한 뒤" in done.stderr


@pytest.mark.parametrize("versions", ["oldest", "newest"])
def test_the_oldest_and_the_newest_packages(tmp_path: Path, versions: str) -> None:
    packages = requirements("==" if versions == "oldest" else ">=")
    python = environment(tmp_path / "venv", sys.executable, TORCH, *packages, *TOOLS)
    check(python, WITH_TORCH, tmp_path)
    for name in ("01_scratch_mlp", "02_framework_mlp"):
        done = papermill(python, name, tmp_path)
        assert done.returncode == 0, done.stderr[-3000:]
