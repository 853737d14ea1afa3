"""Numbers of 16 bits where they are safe, and a loss in float32 whatever the network computed in.

bfloat16 has three decimal digits, float16 ends at 65,504: a sum over the voxels of a batch is right in neither.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor

from weft.engine.task import Batch, LossTerms, Task
from weft.errors import WeftError

Precision = Literal["32-true", "bf16-mixed", "16-mixed"]
_HALF = (torch.float16, torch.bfloat16)


def choose_precision(asked: Literal[Precision, "auto-mixed"], device: torch.device) -> Precision:
    """The precision to train in, as Lightning names it.

    auto-mixed: bf16 on a GPU that computes in it, else fp16 with a gradient scaler; float32 on a CPU.
    Raises WeftError for what the device does not have.
    """
    gpu = device.type == "cuda"
    if asked == "auto-mixed":
        return "32-true" if not gpu else "bf16-mixed" if _has_bfloat16() else "16-mixed"
    if asked == "16-mixed" and not gpu:
        raise WeftError("training.precision: 16-mixed needs a GPU; on CPU there are 32-true and bf16-mixed")
    if asked == "bf16-mixed" and gpu and not _has_bfloat16():
        raise WeftError(f"training.precision: {torch.cuda.get_device_name()} has no bfloat16; use 16-mixed or 32-true")
    return asked


def _has_bfloat16() -> bool:
    return torch.cuda.is_bf16_supported(including_emulation=False)


def loss_terms(task: Task[Any], output: Any, batch: Batch, counts: Tensor | None) -> LossTerms:
    """``task.loss`` without autocast, on ``output`` in float32.

    output: a tensor, or tensors in tuples, lists and dicts. What is in objects of other types the task has to cast; a
    term that is still of half precision is a WeftError.
    """
    with torch.autocast(batch.features.device.type, enabled=False):
        terms = task.loss(_full(output), batch, counts)
    for name, (total, _) in terms.items():
        if total.dtype in _HALF:
            raise WeftError(
                f"task '{task.name}': the loss term '{name}' is computed in {str(total.dtype).removeprefix('torch.')}; "
                "cast what the network gives to float32 first"
            )
    return terms


def _full(output: Any) -> Any:
    """The same structure with half-precision tensors in float32."""
    if isinstance(output, Tensor):
        return output.float() if output.dtype in _HALF else output
    if isinstance(output, dict):
        return {key: _full(value) for key, value in output.items()}
    if isinstance(output, tuple) and hasattr(output, "_fields"):
        return type(output)(*map(_full, output))
    if isinstance(output, (tuple, list)):
        return type(output)(map(_full, output))
    return output
