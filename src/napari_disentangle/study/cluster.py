"""Workers of a dask cluster, for studies that are too large for one machine."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from napari_disentangle.errors import DataError
from napari_disentangle.study.workers import Where

# Seconds after which nobody answers.
WAIT = 10
# Images that are sent at once at least: workers may still be on their way.
_FEWEST = 64
_INSTALL = "pip install 'napari-disentangle[cluster]'"


@contextmanager
def cluster(scheduler: str) -> Iterator[Where]:
    """Use the cluster of a scheduler; every process loads weights once.

    Parameters
    ----------
    scheduler
        Its address, e.g. ``"tcp://node1:8786"``; ``"local"`` starts one here.

    Raises
    ------
    DataError
        If dask.distributed is not installed, or nobody answers there.
    """
    try:
        distributed: Any = import_module("distributed")
    except ImportError as error:
        raise DataError(
            f"a cluster needs dask.distributed, which is not installed: {_INSTALL}"
        ) from error
    local = scheduler == "local"
    try:
        where = {} if local else {"address": scheduler, "timeout": WAIT}
        client = distributed.Client(**where)
    except (OSError, ValueError) as error:
        raise DataError(f"no cluster answers at {scheduler!r} ({error})") from error

    @contextmanager
    def opened(n: int) -> Iterator[Executor]:
        yield client.get_executor(pure=False, retries=2)

    with client:
        yield Where(max(_FEWEST, sum(client.ncores().values())), opened)
