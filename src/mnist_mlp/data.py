"""Find, decode, check and split MNIST.

Places, in order: ``file_path``; the folder ``MNIST_DIR``; the repository's ``data/``, ``./data``,
the working directory; the download cache and the mirrors (download.py); and, loudly, scikit-learn's
digits. What the user supplied is never passed over in silence: if it is wrong, that is an error,
and what only looks like one of the files is named.
"""

import gzip
import hashlib
import math
import os
import re
import stat
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from mnist_mlp.download import GZ_SHA256, download

StrPath = str | os.PathLike[str]
Array = npt.NDArray[Any]

NAMES = tuple(GZ_SHA256)
ORDER = "train-images, train-labels, t10k-images, t10k-labels"
# Below each place: torchvision's two, what an unpacked archive makes (Kaggle's is archive.zip).
FOLDERS = ("", "MNIST/raw", "raw", "MNIST", "mnist", "archive")
SIMILAR = r"(train|t10k|test).*(images|labels)|mnist.*\.(csv|gz|mat|npz|pkl|zip)$"
MAX_COUNT = 100_000  # items in one file, so that no header can ask for unbounded memory
ARRAY_SHA256 = {  # of the decoded bytes after the header: the same for gzipped and plain files
    "train-images-idx3-ubyte": "741c988805d008ac6e4c904b69001ba184c24b2c540a4ef403f4c71b676cf757",
    "train-labels-idx1-ubyte": "1feba77c54802fa5339a11837ea4b2866434b83314ec45192930f1df69120c13",
    "t10k-images-idx3-ubyte": "6d87418db22cc8025d05968bec9bd5c3932904b23485740db143a061a2c9d161",
    "t10k-labels-idx1-ubyte": "ddeff807876a9661a1110d45c266c86239a3a1b7d37da0c3716a7a683c852ff5",
}
BANNER = """\
================================================================================
주의: MNIST를 찾거나 내려받지 못했습니다.
{reasons}
대신 scikit-learn에 들어 있는 실제 손글씨 숫자 1,797장을 28x28로 확대하여 사용합니다.
아래의 수치는 MNIST 결과가 아닙니다. MNIST로 실행하려면 다음 네 파일을 data/ 폴더에 넣거나,
네 파일이 있는 폴더를 환경 변수 MNIST_DIR에 지정한 뒤 다시 실행하십시오.
{files}
================================================================================"""


class DatasetError(Exception):
    """Data are missing, damaged or not what they should be; the message says what to do."""


@dataclass(frozen=True, eq=False)
class Split:
    """images: (N, 784) float32 in [0, 1]; labels: (N,) int64 in 0..9."""

    images: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Dataset:
    """Three disjoint splits and what they really are: "mnist", "idx-files" or "sklearn-digits"."""

    name: str
    train: Split
    validation: Split
    test: Split


def load(name: str = "mnist", file_path: Sequence[StrPath] | None = None, seed: int = 0) -> Dataset:
    """Load a dataset; 20 % of its training part, stratified by class, become the validation split.

    ``name`` is "mnist", or "sklearn-digits" for the embedded digits at once. ``file_path`` has four
    paths: train-images, train-labels, t10k-images, t10k-labels. ``seed`` decides which images are
    for validation, and nothing else; each split keeps the order of its file (MNIST: 48,000, 12,000
    and 10,000 images). Only MNIST's own bytes are named "mnist"; other well-formed files are
    "idx-files". Raises ``DatasetError`` if an argument has no meaning, or files that the user
    supplied are missing, damaged, swapped or do not fit together. A failed download raises nothing:
    a banner says why there are digits.
    """
    if not isinstance(seed, int | np.integer) or not 0 <= seed < 2**32:
        raise DatasetError(f"The seed is {seed!r}. Use a whole number from 0 to 4,294,967,295.")
    if name not in ("mnist", "sklearn-digits"):
        raise DatasetError(f"No dataset {name!r}. Use 'mnist' or 'sklearn-digits'.")
    if name == "sklearn-digits":
        if file_path is not None:
            raise DatasetError("'sklearn-digits' reads no files. Use 'mnist', or no file_path.")
        return _digits(seed)
    paths = _find() if file_path is None else _given(file_path)
    return _from_files(paths, seed) if paths else _digits(seed)


def _given(file_path: Sequence[StrPath]) -> list[Path]:
    """Return the four paths of ``file_path``, ``~`` expanded."""
    if not isinstance(file_path, list | tuple) or len(file_path) != len(NAMES):
        raise DatasetError(f"file_path is {file_path!r}. Give a list of four paths: {ORDER}.")
    return [Path(os.path.expanduser(path)) for path in file_path]


def _find() -> list[Path]:
    """Return the four files of the first place that has them; or none, having said why."""
    chosen = os.environ.get("MNIST_DIR")
    usual = [Path(__file__).parents[2] / "data", Path("data"), Path()]
    places = [Path(os.path.expanduser(chosen))] if chosen else usual
    folders = [place / below for place in places for below in FOLDERS]
    for folder in folders:
        if paths := _in_folder(folder):
            return paths
    similar = [path for folder in folders for path in _matching(folder, SIMILAR)]
    if chosen:
        where = f"MNIST_DIR={chosen} ({places[0].absolute()})"
        raise DatasetError(
            f"{where} is no folder with {ORDER}{_named(similar)}. Correct or unset it."
        )
    return _downloaded(similar)


def _downloaded(similar: list[Path]) -> list[Path]:
    """Return the four files of the cache or a mirror; or none, and say why there are digits."""
    paths, reasons = download()
    # The folder's name alone: outputs shall not depend on where the repository lies.
    names = dict.fromkeys(f"{path.parent.name}/{path.name}".lstrip("/") for path in similar)
    unused = f"네 파일이 없음 (이름이 비슷하지만 쓰지 않은 것: {', '.join(names)})"
    here = f"data/ 폴더와 현재 폴더: {unused if similar else '파일이 없음'}"
    if paths and similar:
        print(f"알림: {here}. 내려받은 MNIST를 사용합니다.")
    if not paths:
        lines = "\n".join(f"  - {reason}" for reason in [here, *reasons])
        print(BANNER.format(reasons=lines, files="\n".join(f"  {name}.gz" for name in NAMES)))
    return paths


def _in_folder(folder: Path) -> list[Path]:
    """Return the four files in a folder, or none; only some is an error."""
    candidates = {name: _spelled(folder, name) for name in NAMES}
    found = [path for path in candidates.values() if path]
    if found and len(found) < len(NAMES):
        missing = ", ".join(f"{name}.gz" for name in NAMES if not candidates[name])
        others = [path for path in _matching(folder, SIMILAR) if path not in found]
        raise DatasetError(
            f"{folder.absolute()} has {found[0].name} but lacks {missing}{_named(others)}. "
            "Add what is missing, or take the others away."
        )
    return found


def _spelled(folder: Path, name: str) -> Path | None:
    """Return the file `name` in `folder`, or in a folder of its name; None if there is none.

    Under another name ("... (1).gz", a browser's second download) it counts if it is MNIST's.
    """
    spelled = rf"^{name.replace('-idx', '[-.]idx')}(\.gz)?$"
    outer = sorted(_matching(folder, spelled), key=lambda path: not path.name.startswith(name))
    inner = [path for below in outer for path in _matching(below, spelled)]
    # A broken link is no folder: it was put there on purpose, and read_idx says what is wrong.
    files = [path for path in outer + inner if not path.is_dir()]
    mnists = (path for path in _matching(folder, name.replace("-", ".")) if _is_mnist(path, name))
    return files[0] if files else next(mnists, None)


def _is_mnist(path: Path, name: str) -> bool:
    try:
        return _sha256(read_idx(path)) == ARRAY_SHA256[name]
    except DatasetError:
        return False


def _matching(folder: Path, pattern: str) -> list[Path]:
    """Return what is in a folder and has such a name, gzipped ones first."""
    paths = sorted(folder.glob("*"), key=lambda path: (path.suffix != ".gz", path.name))
    return [path for path in paths if re.search(pattern, path.name, re.I)]


def _named(similar: list[Path]) -> str:
    return f" (similar names there: {', '.join(path.name for path in similar)})" if similar else ""


def read_idx(path: StrPath) -> npt.NDArray[np.uint8]:
    """Decode one IDX file of unsigned bytes, gzipped or plain (by its first bytes, not its name).

    Returns uint8, read-only: images (N, 28, 28) or labels (N,), 0 < N <= MAX_COUNT. Raises
    ``DatasetError`` if the file cannot be read, is damaged, or is not exactly as long as its header
    says; at most one byte beyond that length is ever unpacked.
    """
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # to open a FIFO would be to wait for ever
            raise DatasetError(f"{path} is not a regular file. Give the path of the file itself.")
        with open(path, "rb") as raw:
            gzipped = raw.read(2) == b"\x1f\x8b"
            raw.seek(0)
            return _decode(path, gzip.open(raw) if gzipped else raw)
    except (EOFError, zlib.error, struct.error, gzip.BadGzipFile):
        raise _damaged(path, "is damaged or incomplete") from None
    except OSError as error:
        raise DatasetError(f"{path} cannot be read: {error.strerror}. Check the path.") from None


def _damaged(path: StrPath, what: str) -> DatasetError:
    return DatasetError(f"{path} {what}. Delete it and download it again.")


def _decode(path: StrPath, stream: Any) -> npt.NDArray[np.uint8]:
    magic = stream.read(4)
    if magic not in (b"\0\0\x08\x01", b"\0\0\x08\x03"):  # two zeros, type uint8, 1 or 3 dimensions
        what = f"begins with {magic!r}" if magic else "is empty"
        raise _damaged(path, f"{what}, unlike an IDX file of labels or images")
    ndim = magic[3]
    shape = struct.unpack(f">{ndim}I", stream.read(4 * ndim))
    if not 0 < shape[0] <= MAX_COUNT or shape[1:] not in ((), (28, 28)):
        raise _damaged(path, f"claims the shape {shape}, not (N,) or (N, 28, 28), N <= {MAX_COUNT}")
    size = math.prod(shape)
    # The byte beyond finds trailing ones, and makes gzip reach the end, where it checks its CRC.
    payload = stream.read(size + 1)
    if len(payload) != size:
        wrong = "fewer" if len(payload) < size else "more"
        raise _damaged(path, f"holds {wrong} than the {size:,} bytes that its header promises")
    return np.frombuffer(payload, np.uint8).reshape(shape)


def _sha256(array: Array) -> str:
    return hashlib.sha256(array.data.cast("B")).hexdigest()


def _from_files(paths: list[Path], seed: int) -> Dataset:
    """Decode the four files, check that they are what their places say, and split."""
    arrays = [read_idx(path) for path in paths]
    _check_places(paths, arrays)
    for i in (0, 2):
        _check_pair(paths[i], paths[i + 1], arrays[i], arrays[i + 1])
    images, labels, test_images, test_labels = arrays
    try:
        parts = [_take(images, labels, part, 255) for part in _split_indices(labels, seed)]
    except ValueError as error:
        raise DatasetError(f"{paths[1]} cannot be split 80/20 by class: {error}") from None
    digests = [_sha256(array) for array in arrays]
    name = "mnist" if digests == list(ARRAY_SHA256.values()) else "idx-files"
    if name != "mnist":
        print("알림: 형식은 맞지만 MNIST가 아닌 파일입니다. 이름은 'idx-files'로 합니다.")
    parts.append(_take(test_images, test_labels, slice(None), 255))
    return Dataset(name, *parts)


def _check_places(paths: list[Path], arrays: list[Array]) -> None:
    """Raise DatasetError if a file is in another one's place."""
    swapped = f"The files look swapped; their order is: {ORDER}."
    for path, array, name in zip(paths, arrays, NAMES, strict=True):
        held = "images" if array.ndim == 3 else "labels"
        if held not in name:
            raise DatasetError(f"{path} holds {held}, not {name}. {swapped}")
    if len(arrays[0]) < len(arrays[2]) or np.array_equal(arrays[0], arrays[2]):
        what = f"{paths[0]} (training) is smaller than {paths[2]} (test), or the same"
        raise DatasetError(f"{what}. {swapped}")


def _check_pair(of_images: Path, of_labels: Path, images: Array, labels: Array) -> None:
    """Raise DatasetError if labels are not 0 to 9, one for each image, or nothing is to be seen."""
    if not images.any():
        raise DatasetError(f"{of_images} holds only black images: something went wrong with it.")
    if len(images) != len(labels):
        counts = f"{len(images):,} images but {len(labels):,} labels"
        raise DatasetError(f"{of_images} and {of_labels} hold {counts}. Use two that match.")
    if labels.max() > 9:
        raise DatasetError(f"{of_labels} holds the label {labels.max()}. Use labels from 0 to 9.")


def _digits(seed: int) -> Dataset:
    """Return scikit-learn's digits, 8x8 pixels in 0..16 enlarged to 28x28; fixed test set."""
    bunch = load_digits()
    images = np.pad(np.kron(bunch.images, np.ones((1, 3, 3))), ((0, 0), (2, 2), (2, 2)))
    rest, test = _split_indices(bunch.target, 0)
    train, validation = (rest[part] for part in _split_indices(bunch.target[rest], seed))
    parts = [_take(images, bunch.target, part, 16) for part in (train, validation, test)]
    return Dataset("sklearn-digits", *parts)


def _split_indices(labels: Array, seed: int) -> tuple[Array, Array]:
    """Return the sorted indices of 80 % and of 20 % of `labels`, every class in proportion."""
    everything = np.arange(len(labels))
    parts = train_test_split(everything, test_size=0.2, stratify=labels, random_state=seed)
    return np.sort(parts[0]), np.sort(parts[1])


def _take(images: Array, labels: Array, which: Array | slice, white: int) -> Split:
    pixels = images[which].reshape(-1, 784)
    return Split(np.divide(pixels, white, dtype=np.float32), labels[which].astype(np.int64))
