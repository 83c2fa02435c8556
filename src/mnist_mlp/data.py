"""Find, download, verify, decode and split MNIST.

Places, in order: ``file_path``; the folder ``MNIST_DIR``; the repository's ``data/``, ``./data``,
the working directory; the download cache (``MNIST_CACHE``); the mirrors (``MNIST_MIRRORS``, with
spaces between); and, loudly, scikit-learn's digits. Names in capitals are environment variables.
What the user supplied is never passed over in silence: if it is wrong, that is an error.
"""

import gzip
import hashlib
import math
import os
import stat
import struct
import tempfile
import threading
import zlib
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
import numpy.typing as npt
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

StrPath = str | os.PathLike[str]
Array = npt.NDArray[Any]

MAX_COUNT = 100_000  # items in one file, so that no header can ask for unbounded memory
MAX_DOWNLOAD = 1 << 24  # bytes; the largest of the four files has 9.9 million
TIMEOUT = 10.0  # seconds to connect, and between two packets
DEADLINE = 120.0  # seconds for one file in all
MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/ "
    "https://storage.googleapis.com/cvdf-datasets/mnist/ "
    "http://yann.lecun.com/exdb/mnist/"  # the assignment's own: 403 or 404 since 2024, hence last
)
GZ_SHA256 = {
    "train-images-idx3-ubyte": "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
    "train-labels-idx1-ubyte": "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
    "t10k-images-idx3-ubyte": "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
    "t10k-labels-idx1-ubyte": "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
}
ARRAY_SHA256 = {  # of the decoded bytes after the header: the same for gzipped and plain files
    "train-images-idx3-ubyte": "741c988805d008ac6e4c904b69001ba184c24b2c540a4ef403f4c71b676cf757",
    "train-labels-idx1-ubyte": "1feba77c54802fa5339a11837ea4b2866434b83314ec45192930f1df69120c13",
    "t10k-images-idx3-ubyte": "6d87418db22cc8025d05968bec9bd5c3932904b23485740db143a061a2c9d161",
    "t10k-labels-idx1-ubyte": "ddeff807876a9661a1110d45c266c86239a3a1b7d37da0c3716a7a683c852ff5",
}
ORDER = "train-images, train-labels, t10k-images, t10k-labels"
BANNER = """\
================================================================================
주의: MNIST를 찾거나 내려받지 못했습니다.
  - data/ 폴더와 현재 폴더: 파일이 없음
{reasons}대신 scikit-learn에 들어 있는 실제 손글씨 숫자 1,797장을 28x28로 확대하여 사용합니다.
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


def read_idx(path: StrPath) -> npt.NDArray[np.uint8]:
    """Decode one IDX file of unsigned bytes, gzipped or plain (by its first bytes, not its name).

    Returns
    -------
    uint8, read-only: images of shape (N, 28, 28) or labels of shape (N,), 0 < N <= MAX_COUNT.

    Raises
    ------
    DatasetError
        If the file cannot be read, is damaged, or is not exactly as long as its header says.
        At most one byte beyond that length is ever unpacked.
    """
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # to open a FIFO would be to wait for ever
            raise DatasetError(f"{path} is not a regular file. Give the path of the file itself.")
        with open(path, "rb") as raw:
            gzipped = raw.read(2) == b"\x1f\x8b"
            raw.seek(0)
            with gzip.open(raw) if gzipped else nullcontext(raw) as stream:
                return _decode(path, cast(IO[bytes], stream))
    except (EOFError, zlib.error, struct.error, gzip.BadGzipFile):
        raise _damaged(path, "is damaged or incomplete") from None
    except (OSError, ValueError) as error:  # ValueError: a null character in the path
        reason = getattr(error, "strerror", None) or error
        raise DatasetError(f"{path} cannot be read: {reason}. Check the path.") from None


def _damaged(path: StrPath, what: str) -> DatasetError:
    return DatasetError(f"{path} {what}. Delete it and download it again.")


def _decode(path: StrPath, stream: IO[bytes]) -> npt.NDArray[np.uint8]:
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


def load(name: str = "mnist", file_path: Sequence[StrPath] | None = None, seed: int = 0) -> Dataset:
    """Load a dataset; 20 % of its training part, stratified by class, become the validation split.

    Parameters
    ----------
    name : "mnist", or "sklearn-digits" for the embedded digits at once.
    file_path : four paths: train-images, train-labels, t10k-images, t10k-labels.
    seed : decides which images are for validation, and nothing else.

    Returns
    -------
    Dataset; each split keeps the order of its file. MNIST: 48,000 / 12,000 / 10,000 images. Its
    name is "mnist" only if the decoded bytes are MNIST's, else "idx-files", for well-formed files.

    Raises
    ------
    DatasetError
        If the name is unknown, the seed out of range, or files that the user supplied are missing,
        damaged, swapped or do not fit together. A failed download raises nothing: a banner says
        why there are digits.
    """
    if not 0 <= seed < 2**32:
        raise DatasetError(f"The seed is {seed!r}. Use a whole number from 0 to 4,294,967,295.")
    if name == "sklearn-digits" and file_path is None:
        return _digits(seed)
    if name != "mnist":
        raise DatasetError(f"No dataset {name!r}. Use 'mnist', or 'sklearn-digits' without files.")
    paths, reasons = _find(file_path)
    if paths:
        return _from_files(paths, seed)
    lines = "".join(f"  - {reason}\n" for reason in reasons)
    print(BANNER.format(reasons=lines, files="\n  ".join(f"{name}.gz" for name in GZ_SHA256)))
    return _digits(seed)


def _find(file_path: Sequence[StrPath] | None) -> tuple[list[Path], list[str]]:
    """Return the four paths; or none, and the reasons why not a mirror could help."""
    if file_path is not None:
        if isinstance(file_path, str | os.PathLike) or len(file_path) != len(GZ_SHA256):
            raise DatasetError(f"file_path is {file_path!r}. Give a list of four paths: {ORDER}.")
        return [Path(path) for path in file_path], []
    if chosen := os.environ.get("MNIST_DIR"):
        if paths := _in_folder(Path(chosen).expanduser()):
            return paths, []
        where = Path(chosen).expanduser().absolute()
        raise DatasetError(
            f"MNIST_DIR={chosen} ({where}) is no folder with {ORDER}. Correct it or unset it."
        )
    for folder in (Path(__file__).parents[2] / "data", Path("data"), Path()):
        if paths := _in_folder(folder):
            return paths, []
    return _download()


def _in_folder(folder: Path) -> list[Path]:
    """Return the paths of the four files in `folder`, or none; only some of them is an error."""
    found, missing = [], []
    for name in GZ_SHA256:
        spellings = (name + ".gz", name, name.replace("-idx", ".idx"))
        # lexists: a broken link was put there on purpose too; read_idx says what is wrong with it.
        here = [folder / spelling for spelling in spellings if os.path.lexists(folder / spelling)]
        found += here[:1]
        missing += [] if here else [name + ".gz"]
    if found and missing:
        raise DatasetError(
            f"{folder.absolute()} has {found[0].name} but lacks {', '.join(missing)}. "
            "Add what is missing, or take the others away."
        )
    return found


def _download() -> tuple[list[Path], list[str]]:
    """Return the four verified files of the cache, downloading what it lacks; or none and why."""
    import pooch
    import requests

    pooch.get_logger().setLevel("ERROR")  # it tells a first run from a second; outputs must not
    if os.path.isabs(os.path.expanduser("~")):
        default = pooch.os_cache("mnist-mlp")
    else:  # without a home os_cache fails or, in older versions, makes a folder called "~"
        default = Path(tempfile.gettempdir(), "mnist-mlp")
    cache = os.environ.get("MNIST_CACHE") or default
    mirrors = (os.environ.get("MNIST_MIRRORS") or MIRRORS).split()
    paths: list[Path] = []
    reasons: list[str] = []
    for name, sha256 in GZ_SHA256.items():
        for mirror in list(mirrors):
            url = f"{mirror.rstrip('/')}/{name}.gz"
            try:
                # Verifies a cached file too, and renames a download only once it is verified.
                file = pooch.retrieve(url, sha256, f"{name}.gz", cache, downloader=_fetch)
                paths.append(Path(file))
                break
            except (requests.ConnectionError, TimeoutError, requests.Timeout):
                reasons.append(f"{url}: 연결되지 않거나 응답이 끊김")
                mirrors.remove(mirror)  # it shall not cost a wait for each file
            except requests.RequestException as error:
                status = getattr(error.response, "status_code", type(error).__name__)
                reasons.append(f"{url}: 받을 수 없음 ({status})")
            except ValueError:
                reasons.append(f"{url}: MNIST 파일이 아닌 내용을 보냄")
            except OSError as error:  # the disk's: another mirror would not help
                reason = error.strerror or type(error).__name__
                return [], [*reasons, f"다운로드 캐시를 쓸 수 없음 ({reason})"]
        else:
            return [], reasons
    return paths, []


def _fetch(url: str, output_file: str, _pooch: object) -> None:
    """Download `url` to `output_file` within DEADLINE seconds (a pooch downloader).

    requests limits each wait, but neither name resolution nor a server that trickles. Hence a
    thread, which can be left behind: it works in memory and never touches the disk.
    """
    future: Future[bytes] = Future()

    def work() -> None:
        try:
            future.set_result(_get(url))
        except Exception as error:
            future.set_exception(error)

    threading.Thread(target=work, daemon=True).start()
    Path(output_file).write_bytes(future.result(DEADLINE))


def _get(url: str) -> bytes:
    import requests

    content = bytearray()
    identity = {"Accept-Encoding": "identity"}  # the .gz itself, not unpacked on the way
    try:
        with requests.get(url, stream=True, timeout=TIMEOUT, headers=identity) as response:
            response.raise_for_status()
            for chunk in response.iter_content(1 << 16):
                content.extend(chunk)
                if len(content) > MAX_DOWNLOAD:
                    raise ValueError(f"{url} is longer than any MNIST file")
    except (OSError, ValueError):  # all that requests documents, and the one above
        raise
    except Exception as error:  # urllib3's own, on a redirect with a damaged body
        raise requests.RequestException(error) from error
    return bytes(content)


def _from_files(paths: list[Path], seed: int) -> Dataset:
    """Decode the four files, check that they are what their places say, and split."""
    arrays = [read_idx(path) for path in paths]
    digests = [hashlib.sha256(array.data.cast("B")).hexdigest() for array in arrays]
    known = {digest: name for name, digest in ARRAY_SHA256.items()}
    for path, array, digest, name in zip(paths, arrays, digests, ARRAY_SHA256, strict=True):
        kind = "images" if array.ndim == 3 else "labels"
        if kind not in name or known.get(digest, name) != name:
            what = f"{path} holds {known.get(digest, kind)}, not {name}"
            raise DatasetError(f"{what}. The files look swapped; their order is: {ORDER}.")
    for i in (0, 2):
        if len(arrays[i]) != len(arrays[i + 1]):
            counts = f"{len(arrays[i]):,} images but {len(arrays[i + 1]):,} labels"
            raise DatasetError(f"{paths[i]} and {paths[i + 1]} hold {counts}. Use two that match.")
        if (largest := arrays[i + 1].max()) > 9:
            raise DatasetError(f"{paths[i + 1]} holds the label {largest}. Use labels from 0 to 9.")
    if len(arrays[0]) < len(arrays[2]) or digests[0] == digests[2]:
        what = f"{paths[0]} (training) is smaller than {paths[2]} (test), or the same"
        raise DatasetError(f"{what}. The files look swapped; their order is: {ORDER}.")
    images, labels, test_images, test_labels = arrays
    try:
        train, validation = _split_indices(labels, seed)
    except ValueError as error:
        raise DatasetError(f"{paths[1]} cannot be split 80/20 by class: {error}") from None
    name = "mnist" if digests == list(ARRAY_SHA256.values()) else "idx-files"
    if name != "mnist":
        print("알림: 형식은 맞지만 MNIST가 아닌 파일입니다. 이름은 'idx-files'로 합니다.")
    parts = [_take(images, labels, part, 255) for part in (train, validation)]
    parts.append(_take(test_images, test_labels, slice(None), 255))
    return Dataset(name, *parts)


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
