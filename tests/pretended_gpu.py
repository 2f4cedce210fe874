"""A GPU that is pretended, for machines without one: real CPU tensors, of which it is watched on
which side they would be.

Storages are marked. A function mode answers for the device of a marked tensor, and marks what would
be made on a GPU or moved there; a dispatch mode sees every operation, those of backward passes and
of optimisers too, marks what marked tensors give, and refuses operands of both sides as CUDA does.
Results are those of the CPU. Nothing is told of CUDA's kernels, their order of summation or speed.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch.multiprocessing.reductions import StorageWeakRef
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

GPU = torch.device("cuda", 0)
MANY = 20_000  # marks, before those of storages that are no more are taken away
FREE = ("copy_", "_to_copy", "set_", "_has_compatible_shallow_copy_type")
PACKED = "_pack_padded_sequence"  # rows on the GPU, their lengths on the CPU
INDEXED = ("index", "index_put", "index_put_", "_index_put_impl_", "_unsafe_index")
# What takes even a CPU tensor of no dimensions for one of the wrong side.
STRICT = (
    *("mm", "addmm", "addmm_", "bmm", "baddbmm", "cat", "stack", "gather", "embedding"),
    *(
        "index_select",
        "index_copy_",
        "index_add_",
        "scatter",
        "scatter_",
        "scatter_add_",
    ),
    *("searchsorted", "native_layer_norm", "_fused_adam_", "_fused_adamw_"),
)


class WrongSide(RuntimeError):
    """What CUDA would say."""


class _Marks:
    """Storages that are on the pretended GPU."""

    def __init__(self) -> None:
        self._of: dict[int, StorageWeakRef] = {}
        self._limit = MANY

    def has(self, tensor: torch.Tensor) -> bool:
        return any(storage._cdata in self._of for storage in _storages(tensor))

    def set(self, tensor: torch.Tensor, on_gpu: bool = True) -> torch.Tensor:
        for storage in _storages(tensor):
            if on_gpu:
                self._of.setdefault(storage._cdata, StorageWeakRef(storage))
            else:
                self._of.pop(storage._cdata, None)
        if len(self._of) > self._limit:
            self._of = {k: ref for k, ref in self._of.items() if not ref.expired()}
            self._limit = max(MANY, 2 * len(self._of))
        return tensor


def _storages(tensor: torch.Tensor) -> list[torch.UntypedStorage]:
    if tensor.layout is torch.sparse_coo:
        return [*_storages(tensor._indices()), *_storages(tensor._values())]
    kind = torch._C.TensorBase.device.__get__(tensor).type
    return [] if kind == "meta" else [tensor.untyped_storage()]


def _tensors(values: Any) -> list[torch.Tensor]:
    return [leaf for leaf in tree_leaves(values) if isinstance(leaf, torch.Tensor)]


class _Operations(TorchDispatchMode):
    def __init__(self, marks: _Marks) -> None:
        super().__init__()
        self.marks = marks

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        name = operation._schema.name.split("::")[-1]
        given = [t for t in _tensors((args, kwargs)) if t.device.type != "meta"]
        sides = {self.marks.has(tensor) for tensor in given}
        if len(sides) == 2 and name not in (*FREE, PACKED):
            self._check(operation, name, args, given)
        result = operation(*args, **kwargs)
        if name == PACKED:
            self.marks.set(result[0], self.marks.has(args[0]))
        elif True in sides:
            before = {s._cdata for tensor in given for s in _storages(tensor)}
            for tensor in _tensors(result):
                if not before & {storage._cdata for storage in _storages(tensor)}:
                    self.marks.set(tensor)
        return result

    def _check(self, operation, name: str, args: tuple, given: list) -> None:
        if name in INDEXED:  # places may lie on the CPU
            given = [args[0], *_tensors(args[2:])]
            if not self.marks.has(args[0]):
                raise WrongSide(f"{operation}: a CPU tensor, and places on the GPU")
        elsewhere = [tensor for tensor in given if not self.marks.has(tensor)]
        written = [
            tensor
            for argument, value in zip(operation._schema.arguments, args, strict=False)
            if argument.alias_info is not None and argument.alias_info.is_write
            for tensor in _tensors(value)
            if not self.marks.has(tensor)
        ]
        if written or any(tensor.dim() or name in STRICT for tensor in elsewhere):
            shapes = [
                f"{'GPU' if self.marks.has(tensor) else 'CPU'} {tuple(tensor.shape)}"
                for tensor in given
            ]
            raise WrongSide(f"{operation}: {', '.join(shapes)}")


class _Functions(TorchFunctionMode):
    def __init__(self, marks: _Marks) -> None:
        super().__init__()
        self.marks = marks
        self.told = {
            torch.Tensor.device.__get__: lambda t, own: GPU if marks.has(t) else own,
            torch.Tensor.is_cuda.__get__: lambda t, own: marks.has(t),
            torch.Tensor.is_cpu.__get__: lambda t, own: own and not marks.has(t),
        }

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        if function in self.told:
            return self.told[function](args[0], function(*args))
        name = getattr(function, "__name__", "")
        first = args[0] if args and isinstance(args[0], torch.Tensor) else None
        marked = first is not None and self.marks.has(first)
        if name in ("numpy", "__array__", "pin_memory") and marked:
            raise WrongSide(f"{name} of a tensor on the GPU")
        if first is not None and name in ("cpu", "cuda"):
            return self._moved(first, name == "cuda")
        if first is not None and name == "to":
            return self._to(first, list(args[1:]), kwargs)
        place = kwargs.get("device")
        on_gpu = None if place is None else torch.device(place).type == "cuda"
        if kwargs.get("generator") is not None and (marked or on_gpu):
            raise WrongSide(f"{name}: a generator of the CPU")
        if on_gpu:
            kwargs["device"] = "cpu"
        result = function(*args, **kwargs)
        if isinstance(result, torch.Tensor):
            if on_gpu is not None and place != "meta":
                result = self._moved(result, on_gpu)
            elif name in ("__deepcopy__", "new_tensor") and marked:
                self.marks.set(result)
        return result

    def _moved(self, tensor: torch.Tensor, to_gpu: bool) -> torch.Tensor:
        if self.marks.has(tensor) == to_gpu:
            return tensor
        return self.marks.set(tensor.clone(), to_gpu)

    def _to(self, tensor: torch.Tensor, rest: list, kwargs: dict) -> torch.Tensor:
        """``tensor.to``: a device, a type, both, or another tensor's."""
        device, kind = kwargs.get("device"), kwargs.get("dtype")
        for value in rest:
            if isinstance(value, torch.Tensor):
                device, kind = value.device, value.dtype
            elif isinstance(value, torch.dtype):
                kind = value
            elif isinstance(value, (str, torch.device)):
                device = value
        if device is not None and torch.device(device).type == "meta":
            return tensor.to(*rest, **kwargs)
        if kind is not None and kind != tensor.dtype:
            tensor = tensor.type(kind)
        if device is None:
            return tensor
        return self._moved(tensor, torch.device(device).type == "cuda")


@contextlib.contextmanager
def pretended_gpu() -> Iterator[None]:
    """One GPU with 80 GB, until the end of the block."""
    marks = _Marks()
    free, all_of_it = 64 * 2**30, 80 * 2**30
    random = torch.zeros(16, dtype=torch.uint8)
    answers = {
        "is_available": lambda: True,
        "device_count": lambda: 1,
        "is_initialized": lambda: True,
        "is_bf16_supported": lambda *_, **__: True,
        "current_device": lambda: 0,
        "set_device": lambda device: None,
        "synchronize": lambda device=None: None,
        "mem_get_info": lambda device=None: (free, all_of_it),
        "memory_reserved": lambda device=None: 0,
        "memory_allocated": lambda device=None: 0,
        "max_memory_reserved": lambda device=None: 0,
        "get_device_properties": lambda device=None: SimpleNamespace(
            total_memory=all_of_it
        ),
        "get_rng_state": lambda device="cuda": random.clone(),
        "set_rng_state": lambda state, device="cuda": None,
        "manual_seed": lambda seed: None,
        "manual_seed_all": lambda seed: None,
        "_lazy_init": lambda: None,
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, answer in answers.items():
            patch.setattr(torch.cuda, name, answer)
        stream = SimpleNamespace(is_capturing=lambda: False)
        patch.setattr(torch.accelerator, "current_stream", lambda device=None: stream)
        patch.setattr(torch, "autocast", _OnCpu)
        patch.setattr(torch.amp, "autocast", _OnCpu)
        with _Operations(marks), _Functions(marks):
            yield


class _OnCpu(torch.autocast):
    """Autocast of the CPU, whichever is asked for."""

    def __init__(self, device_type: str, *args: Any, **kwargs: Any) -> None:
        super().__init__("cpu", *args, **kwargs)
