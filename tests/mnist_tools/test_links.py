"""Links: from the origin of a checkout to a Colab that clones it, and never from nowhere."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from executed import ROOT

from mnist_tools import colab, links
from mnist_tools.files import NOTEBOOKS, ReportError, read_notebook

GITHUB = "https://github.com/someone/mnist.report"
COLAB = "https://colab.research.google.com/github/someone/mnist.report/blob/theirs/notebooks"
IN_COLAB = "import sys, types\nsys.modules['google.colab'] = types.ModuleType('google.colab')\n"
THEN = "\nimport mnist_mlp\nprint(mnist_mlp.__file__)"


def git(folder: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=n", "-c", "user.email=e@example.org"]
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout of what carries links, without an origin."""
    root = tmp_path / "checkout"
    shutil.copytree(ROOT / "notebooks", root / "notebooks")
    shutil.copy(ROOT / "README.md", root)
    for folder in ("src/mnist_mlp", "data"):  # what `make colab` reads
        (root / folder).parent.mkdir(exist_ok=True)
        (root / folder).symlink_to(ROOT / folder)
    git(root, "init", "--quiet", "--initial-branch", "theirs")
    return root


def contents(root: Path) -> dict[Path, bytes]:
    found = [root / "README.md", *root.glob("notebooks/*"), *root.glob("dist/*")]
    return {path: path.read_bytes() for path in found}


def cell(root: Path, name: str) -> str:
    cells = read_notebook(root / "notebooks" / f"{name}.ipynb").cells
    return next(str(cell.source) for cell in cells if cell.id == "find-repository")


def run(source: str, folder: Path, **git_config: str) -> subprocess.CompletedProcess[str]:
    """Run code in an empty folder by a Python (``-S``) that finds no installed package."""
    settings = {"GIT_CONFIG_COUNT": str(len(git_config)), "GIT_CONFIG_NOSYSTEM": "1"}
    for number, (key, value) in enumerate(git_config.items()):
        settings |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    return subprocess.run(
        [sys.executable, "-S", "-c", source],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "HOME": str(folder)} | settings,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("address", "github"),
    [
        ("https://github.com/someone/mnist.report", GITHUB),
        ("https://someone:ghp_secret@github.com/someone/mnist.report.git/", GITHUB),
        ("git@github.com:someone/mnist.report.git", GITHUB),
        ("ssh://git@ssh.github.com:443/someone/mnist.report.git", GITHUB),  # where 22 is closed
        ("https://gitlab.com/someone/mnist.report.git", None),
        ("https://github.com.example.org/someone/mnist.report.git", None),
        ("https://example.org/github.com/someone/mnist.report.git", None),
        ("https://github.com/someone", None),
    ],
)
def test_only_an_origin_on_github_counts_and_no_password_is_kept(
    tmp_path: Path, address: str, github: str | None
) -> None:
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "remote", "add", "origin", address)
    assert links.origin(tmp_path).get("github") == github
    assert "secret" not in str(links.origin(tmp_path))
    (inner := tmp_path / "downloaded").mkdir()
    assert not links.origin(inner)  # another repository around it is not its own


def test_colab_writes_the_links_once_and_a_checkout_without_origin_keeps_them(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(checkout)
    before = contents(checkout)
    links.update(checkout)
    assert "그대로 둡니다" in capsys.readouterr().out
    assert contents(checkout) == before

    git(checkout, "remote", "add", "origin", f"{GITHUB}.git")
    colab.build()
    written = contents(checkout)
    assert {path.name for path in checkout.glob("dist/*")} == {
        f"{n}.ipynb" for n in NOTEBOOKS.values()
    }
    readme = (checkout / "README.md").read_text(encoding="utf-8")
    assert f"]({COLAB}/01_scratch_mlp.ipynb)" in readme
    for name in NOTEBOOKS.values():
        assert f'\nREPO_URL = "{GITHUB}"\n' in cell(checkout, name)
        nb = read_notebook(checkout / "notebooks" / f"{name}.ipynb")
        assert f"({COLAB}/{name}.ipynb)" in nb.cells[1].source
    colab.build()
    assert contents(checkout) == written

    git(checkout, "remote", "remove", "origin")
    links.update(checkout)
    assert contents(checkout) == written


def test_the_committed_links_lead_to_the_committed_address_or_nowhere() -> None:
    lines = [
        line for name in NOTEBOOKS.values() for line in links.ADDRESS.findall(cell(ROOT, name))
    ]
    (address,) = {line.removeprefix('REPO_URL = "').removesuffix('"') for line in lines}
    text = b"".join(contents(ROOT).values()).decode()
    found = set(re.findall(r"https://colab\.research\.google\.com/github/([\w-]+/[\w.-]+)", text))
    assert found == ({address.removeprefix("https://github.com/")} if address else set())


def test_a_notebook_whose_first_cell_was_changed_is_named(checkout: Path) -> None:
    nb = read_notebook(checkout / "notebooks" / "01_scratch_mlp.ipynb")
    next(c for c in nb.cells if c.id == "find-repository").source = "REPO_URL = 'mine'"
    for _ in range(2):
        with pytest.raises(ReportError, match="01_scratch_mlp: the cell find-repository must have"):
            links.with_links(nb, "01_scratch_mlp", {"github": GITHUB})
        nb.cells = [c for c in nb.cells if c.id != "find-repository"]


# ---- the first cell, in a Colab


def repository(folder: Path, *, package: bool) -> Path:
    """Make a repository with one commit."""
    (folder / "src" / "mnist_mlp").mkdir(parents=True)
    (folder / "src" / "mnist_mlp" / "__init__.py").touch()
    git(folder, "init", "--quiet")
    git(folder, "add", *(["."] if package else []))
    git(folder, "commit", "--quiet", "--allow-empty", "-m", "all")
    return folder


def located(address: str) -> str:
    source = cell(ROOT, "01_scratch_mlp")
    assert cell(ROOT, "02_framework_mlp") == source
    return str(links.ADDRESS.sub(f'REPO_URL = "{address}"', source))


def test_colab_clones_in_silence_and_a_corrected_address_clones_anew(tmp_path: Path) -> None:
    (content := tmp_path / "content").mkdir()
    places = {
        GITHUB: repository(tmp_path / "published", package=True),
        "https://github.com/a/b": repository(tmp_path / "other", package=False),
        "https://github.com/a/typo": tmp_path / "nowhere",
    }
    config = {f"url.file://{place}.insteadOf": address for address, place in places.items()}
    typo = run(IN_COLAB + located("https://github.com/a/typo"), content, **config)
    assert typo.returncode == 1
    message = "RuntimeError: https://github.com/a/typo 저장소를 복제하지 못했으니"
    assert typo.stderr.splitlines()[-1].startswith(message)
    assert "fatal" not in typo.stderr
    other = run(IN_COLAB + located("https://github.com/a/b"), content, **config)
    assert "RuntimeError: 저장소의 src 폴더를 찾지 못했으니" in other.stderr
    for _ in range(2):  # the second time it is there already
        done = run(IN_COLAB + located(GITHUB) + THEN, content, **config)
        assert (done.returncode, done.stderr) == (0, "")
        (line,) = done.stdout.splitlines()
        assert Path(line).is_relative_to(content / "github.com+someone+mnist.report")


def test_git_never_asks_for_a_password(tmp_path: Path) -> None:
    (tmp_path / "git").write_text('#!/bin/sh\nprintf "%s" "$GIT_TERMINAL_PROMPT" > asked\nexit 128')
    (tmp_path / "git").chmod(0o755)
    path = f"import os\nos.environ['PATH'] = {str(tmp_path)!r} + ':' + os.environ['PATH']\n"
    done = run(path + IN_COLAB + located(GITHUB), tmp_path)
    assert "복제하지 못했으니" in done.stderr
    assert (tmp_path / "asked").read_text() == "0"


def test_elsewhere_nothing_is_cloned_and_no_error_looks_like_a_missing_package(
    tmp_path: Path,
) -> None:
    done = run(located(GITHUB), tmp_path)
    assert "RuntimeError: 저장소의 src 폴더를 찾지 못했으니" in done.stderr
    assert "ModuleNotFoundError" not in done.stderr
    assert not list(tmp_path.iterdir())
    repository(tmp_path / "here", package=True)
    (tmp_path / "here" / "notebooks").mkdir()
    assert run(located(GITHUB) + THEN, tmp_path / "here" / "notebooks").returncode == 0
