"""The formats of exported networks: ONNX, an archive of ``torch.export``, machine code."""

import json
import logging
import shutil
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import sympy
import torch
from torch import Tensor, nn
from torch.export import ExportedProgram

SUFFIXES = {"onnx": ".onnx", "export": ".pt2", "aot": ".aot.pt2"}
TORCH_OPSET = 18  # the lowest that torch writes by itself

Run = Callable[[Tensor], Tensor]


def program(network: nn.Module, x: Tensor, free: dict[int, Any]) -> ExportedProgram:
    """Return the network as one graph for all batches and sizes."""
    # To find the memory layout of a convolution, torch asks whether its input has more than one sample, and would
    # require the answer of every input. During the export, all tensors are contiguous.
    layout = patch("torch._C._conv_determine_backend_memory_format", lambda *_: torch.contiguous_format)
    with _quick(), _oblivious(), layout:
        options: Any = {"dynamic_shapes": (free,), "prefer_deferred_runtime_asserts_over_guards": True}
        return torch.export.export(network, (x,), **options)


def to_onnx(
    network: nn.Module,
    x: Tensor,
    free: dict[int, Any],
    metadata: Mapping[str, str],
    file: Path,
    opset: int | None = None,
) -> Run:
    """Write an ONNX file with operators of a version, and return a function that runs it in onnxruntime."""
    try:
        import onnx.version_converter
        import onnxruntime
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise ImportError(f"{error}: format=onnx needs pip install 'wavenets[export]'") from error
    for library in "torch.onnx", "onnx_ir", "onnxscript":  # which log what they simplify, node by node
        logging.getLogger(library).setLevel(logging.ERROR)
    with _quick(), warnings.catch_warnings(action="ignore"):
        made = torch.onnx.export(
            program(network, x, free),
            input_names=["input"],
            output_names=["logits"],
            opset_version=max(opset or 0, TORCH_OPSET),
            verbose=False,
        )
    assert made is not None
    made.model.metadata_props.clear()
    made.model.metadata_props.update(metadata)
    proto = made.model_proto
    if opset is not None and opset < TORCH_OPSET:
        try:
            proto = onnx.version_converter.convert_version(proto, opset)
        except (RuntimeError, ValueError) as error:
            raise ValueError(f"opset={opset}: the network needs operators that it lacks; set a higher one") from error
        for node in proto.graph.node:  # the converter leaves an attribute that only ReduceSum had before
            if node.op_type.startswith("Reduce") and node.op_type != "ReduceSum":
                kept = [entry for entry in node.attribute if entry.name != "noop_with_empty_axes"]
                del node.attribute[:]
                node.attribute.extend(kept)
        onnx.helper.set_model_props(proto, dict(metadata))
    written = next(entry.version for entry in proto.opset_import if entry.domain == "")
    if opset is not None and written != opset:  # torch keeps its own version of what it cannot convert
        raise ValueError(f"opset={opset} cannot be written by this version of torch; opset={written} can")
    onnx.save(proto, file)
    session = onnxruntime.InferenceSession(file)
    return lambda x: torch.from_numpy(session.run(None, {"input": x.numpy()})[0])


def to_export(network: nn.Module, x: Tensor, free: dict[int, Any], metadata: Mapping[str, str], file: Path) -> Run:
    """Write an archive of ``torch.export`` that contains metadata.json, and return the loaded network."""
    torch.export.save(program(network, x, free), file, extra_files={"metadata.json": json.dumps(metadata)})
    loaded: Run = torch.export.load(file).module()
    return loaded


def to_aot(network: nn.Module, x: Tensor, free: dict[int, Any], metadata: Mapping[str, str], file: Path) -> Run:
    """Write a package of machine code for this kind of processor, and return the loaded network."""
    if shutil.which("g++") is None and shutil.which("clang++") is None:
        raise FileNotFoundError("format=aot needs a C++ compiler, such as g++")
    configs = {"aot_inductor.metadata": dict(metadata)}
    exported = program(network, x, free)
    # Otherwise a level with one sample in the example would always have one, and no error would report it.
    with _oblivious(), _expanding():
        torch._inductor.aoti_compile_and_package(exported, package_path=str(file), inductor_configs=configs)
    loaded: Run = torch._inductor.aoti_load_package(str(file))
    return loaded


FORMATS: dict[str, Callable[..., Run]] = {"onnx": to_onnx, "export": to_export, "aot": to_aot}


def _quick() -> Any:
    return torch._dynamo.config.patch(fake_tensor_cache_enabled=False)  # with symbolic sizes it doubles the time


def _oblivious() -> Any:  # a size of 1 is then a size like any other
    return torch.fx.experimental._config.patch(backed_size_oblivious=True)  # type: ignore[attr-defined]


def _expanding() -> Any:
    # To find strides, inductor simplifies a difference of indices with all methods of sympy, for hours in a deep net.
    # Indices are sums of products: after expansion, equal terms cancel.
    return patch("torch._inductor.sizevars.sympy", SimpleNamespace(**{**vars(sympy), "simplify": sympy.expand}))
