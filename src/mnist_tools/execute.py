"""The one place that runs a notebook: in a clean kernel, with limits, the same way every time."""

import asyncio
import atexit
import os
import resource
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError
from nbformat import NotebookNode

from mnist_mlp.notebook import OUTPUT_VARIABLE
from mnist_tools.files import ReportError, read_notebook
from mnist_tools.progress import Progress

Watch = Callable[[int, str], None]  # a cell's index and what it prints, "" when it starts


@dataclass(frozen=True)
class Limits:
    """What a notebook may take."""

    seconds: float = float("inf")
    memory: int = 0  # GiB of data a process; 0 is no limit
    output: float = float("inf")  # characters that all cells put out


UNLIMITED = Limits()


class CellError(ReportError):
    """A notebook did not run to its end.

    ``index`` is the cell's, 0 if no kernel started; ``reason`` says why in one line.
    """

    def __init__(self, nb: NotebookNode, index: int, reason: str, details: str) -> None:
        self.index, self.reason = index, reason
        where = f"cell {index + 1} of {len(nb.cells)} (id {nb.cells[index].id})"
        super().__init__(f"{where} failed:\n{details}")


class Client(NotebookClient):
    """A client that knows its cell, and ends a notebook that takes or puts out too much."""

    def __init__(self, nb: NotebookNode, folder: Path, limits: Limits, watch: Watch) -> None:
        super().__init__(
            nb,
            timeout_func=self._seconds_left,
            kernel_name="python3",
            record_timing=False,
            coalesce_streams=True,
            shutdown_kernel="immediate",  # nothing is left to do; a graceful end takes a second
            resources={"metadata": {"path": str(folder)}},
            extra_arguments=["--log-level=ERROR"],  # not the warning about local sockets
            on_cell_start=self._started,
        )
        self.index, self.started = 0, False  # the cell that was started last, if any was
        self.limits, self.watch, self.size = limits, watch, 0
        self.end = time.monotonic() + min(limits.seconds, 10**6)

    def _seconds_left(self, _: NotebookNode) -> float:
        return max(0.1, self.end - time.monotonic())  # 0 would be no limit

    def _started(self, cell: NotebookNode, cell_index: int) -> None:
        self.index, self.started = cell_index, True
        self.watch(cell_index, "")

    def process_message(self, msg: dict[str, Any], cell: Any, cell_index: int) -> Any:
        """Keep an output, or end the run so that this process's memory is bounded too."""
        self.size += len(str(msg["content"]))
        if self.size > self.limits.output and self.task_poll_for_reply:
            self.task_poll_for_reply.cancel()  # as nbclient does if the kernel died
            raise asyncio.CancelledError
        if msg["msg_type"] == "stream":
            self.watch(cell_index, msg["content"]["text"])
        return super().process_message(msg, cell, cell_index)

    async def _async_cleanup_kernel(self) -> None:
        """End the watch over the kernel too, which nbclient forgets when a cell ends oddly."""
        for task in asyncio.all_tasks():
            if "_async_poll_kernel_alive" in str(task.get_coro()):
                task.cancel()
        await super()._async_cleanup_kernel()

    def reason(self, failure: Exception) -> str:
        """Describe what ended the notebook in one line."""
        if self.size > self.limits.output:
            return f"more than {self.limits.output:,} characters of output"
        if isinstance(failure, CellExecutionError):
            return f"{failure.ename}: {failure.evalue}"
        if isinstance(failure, CellTimeoutError):
            return f"the notebook took more than {self.limits.seconds:g} seconds"
        return f"{type(failure).__name__}: {str(failure).splitlines()[0]}"


def run(
    nb: NotebookNode,
    folder: Path,
    env: dict[str, str],
    limits: Limits = UNLIMITED,
    watch: Watch = lambda index, printed: None,
    **process: Any,
) -> None:
    """Execute a notebook's cells, in place, in a clean kernel that works in ``folder``.

    Two runs are byte-identical: no timestamps, the file's own cell ids, one output a stream.
    ``process``: further arguments of the kernel's ``subprocess.Popen``.

    Raises CellError if a cell fails, takes too long, puts out too much or kills the kernel, and
    KeyboardInterrupt if the user interrupts, which is no fault of the notebook.
    """
    for cell in nb.cells:
        cell.metadata.pop("execution", None)  # timestamps that an editor may have left there
    client = Client(nb, folder, limits, watch)
    if limits.memory:
        process["preexec_fn"] = partial(limit_memory, limits.memory)
    try:
        client.execute(env=env, **process)
    except Exception as error:
        atexit.unregister(client._cleanup_kernel)  # nbclient leaves it if no kernel started
        if hasattr(client, "_async_cleanup_kernel_future"):  # nbclient takes Ctrl-C for itself
            raise KeyboardInterrupt from error
        theirs = isinstance(error, CellExecutionError | CellTimeoutError | RuntimeError)
        if not theirs and (isinstance(error, OSError | MemoryError) or not client.started):
            raise  # neither a cell nor a kernel, which can send messages of any form
        raise CellError(nb, client.index, client.reason(error), str(error)) from error


def limit_memory(gib: int) -> None:
    """Limit the data of this process, which is about to become a kernel."""
    with suppress(ValueError, OSError):  # macOS knows the limit only in part
        resource.setrlimit(resource.RLIMIT_DATA, (gib * 2**30,) * 2)


def execute(path: Path, output: Path) -> NotebookNode:
    """Execute a notebook file in its folder, tell how far it is, and return it.

    The file is not changed; figures and results go to the folder ``output``. Raises ReportError,
    with the names of notebook and cell, if a cell fails or kills the kernel.
    """
    nb = read_notebook(path)
    env = os.environ | {OUTPUT_VARIABLE: str(output.resolve())}
    try:
        with Progress(path.stem, len(nb.cells)) as progress:
            run(nb, path.parent, env, watch=progress)
    except CellError as error:
        why = ": most likely the memory was full" if "Kernel died" in error.reason else ""
        raise ReportError(f"{path.name}, {error}{why}") from error
    return nb
