"""Devices: which there are, which one is used, and what to do when memory runs out."""

import importlib
import os
import warnings
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from threading import Lock
from typing import Any, TypeVar

from napari_disentangle.errors import DeviceMemoryError, MemoryRemark

Result = TypeVar("Result")
Yielded = TypeVar("Yielded")

# Without this, waiting threads of torch spin and steal the cores from the window.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

AUTO = "auto"

_OUT_OF_MEMORY = (
    "can't allocate memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDA error: out of memory",
    "CUDNN_STATUS_ALLOC_FAILED",
    # what cuDNN's own errors, of memory above all, end in
    "unable to find an engine to execute this computation",
)

# How convolutions are computed on a GPU, which torch has one setting of for all
# threads: the first that computes changes it, the last one sets it back.
_lock, _computing, _usual = Lock(), 0, ("none", False)


def list_devices() -> dict[str, str]:
    """Devices that torch can use, best first: ``{"cuda:0": "NVIDIA ...", "cpu": ...}``.

    Imports torch.
    """
    import torch

    found = {}
    for i in range(torch.cuda.device_count()):
        free, total = torch.cuda.mem_get_info(i)
        name = torch.cuda.get_device_name(i)
        found[f"cuda:{i}"] = (
            f"{name}, {free / 2**30:.1f} of {total / 2**30:.1f} GiB free"
        )
    if torch.backends.mps.is_available():
        found["mps"] = "Apple GPU"
    return found | {"cpu": f"CPU, {os.cpu_count()} cores"}


def pick(device: str = AUTO) -> str:
    """Name of the device to use.

    Raises
    ------
    ValueError
        If a device is asked for that is not there; nothing falls back in silence.
    """
    if device == "cpu":
        return device
    devices = list_devices()
    if device == AUTO:
        return next(iter(devices))
    if device not in devices:
        raise ValueError(
            f"device {device!r} is not available ({why_no_gpu() or 'unknown name'}): "
            f"use one of {', '.join(devices)}"
        )
    return device


def why_no_gpu() -> str:
    """Say why no GPU would be used; an empty string if one would."""
    import torch

    if torch.cuda.is_available() or torch.backends.mps.is_available():
        return ""
    if torch.version.cuda is None and torch.version.hip is None:
        return (
            f"this torch ({torch.__version__}) is built for the CPU only; install a "
            "CUDA build of torch to use an NVIDIA GPU"
        )
    return "torch is built for GPUs, but the driver reports none"


def out_of_memory(error: Exception) -> bool:
    """Whether memory ran out: torch says so of a CPU and of cuBLAS only in words."""
    import torch

    known = isinstance(error, (torch.OutOfMemoryError, MemoryError))
    return known or any(words in str(error) for words in _OUT_OF_MEMORY)


@contextmanager
def memory_errors(doing: str) -> Iterator[None]:
    """Turn running out of memory into one sentence.

    Raises
    ------
    DeviceMemoryError
        Instead of torch's or Python's own error.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not out_of_memory(error):
            raise
        raise DeviceMemoryError(
            f"there is no memory left for {doing}: close other programs or images "
            "and run again"
        ) from error


def once_more(
    doing: str, steps: Callable[[], Generator[Yielded, None, Result]]
) -> Generator[Yielded, None, Result]:
    """Do steps that cannot be made smaller; out of memory, try them again.

    By then what the first try held is free, and often what ran beside it.

    Warns
    -----
    MemoryRemark
        That memory ran out, and for what.

    Raises
    ------
    DeviceMemoryError
        If it runs out again.
    """
    try:
        return (yield from steps())
    except (MemoryError, RuntimeError) as error:
        if not out_of_memory(error):
            raise
    words = f"there is no memory left for {doing}: it is tried once more"
    warnings.warn(words, MemoryRemark, stacklevel=2)
    with memory_errors(doing):
        return (yield from steps())


def use_threads(n: int) -> None:
    """Compute with so many CPU threads in this thread, which has begun just now.

    Asked first, as torch answers a thread for the first time with what another one has
    set last, whatever was set in this one before.
    """
    import torch

    torch.get_num_threads()
    torch.set_num_threads(n)


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute with one CPU thread: same bytes on every machine, no idle spinning."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def exactly(device: str) -> Iterator[None]:
    """On a GPU convolve in whole single precision, and so that it can be repeated.

    Otherwise torch rounds what goes into convolutions to 10 bits there, and a GPU finds
    something else than a CPU.
    """
    if not device.startswith("cuda"):
        yield
        return
    global _computing, _usual
    with _lock:
        if not _computing:
            _usual = _set_convolutions("ieee", True)
        _computing += 1
    try:
        yield
    finally:
        with _lock:
            _computing -= 1
            if not _computing:
                _set_convolutions(*_usual)


def _set_convolutions(precision: str, deterministic: bool) -> tuple[str, bool]:
    """Precision of convolutions, and whether they repeat; returns what was set."""
    import torch

    cudnn: Any = torch.backends.cudnn
    before = cudnn.conv.fp32_precision, cudnn.deterministic
    cudnn.conv.fp32_precision, cudnn.deterministic = precision, deterministic
    return before


# What making the first optimiser loads, the largest parts apart.
_PARTS = ("torch.fx.experimental.symbolic_shapes", "torch.distributed.fsdp")


def loading() -> Generator[None, None, None]:
    """Get torch ready to train; once in a process this takes more than a second.

    Yields
    ------
    None
        After every part of it, where it can be stopped.
    """
    import torch

    known = torch.distributed.is_available()
    for name in _PARTS[: 1 + known]:
        with suppress(ImportError):  # in another torch it may have another name
            importlib.import_module(name)
        yield
    torch.optim.SGD([torch.zeros(1)])
    yield
