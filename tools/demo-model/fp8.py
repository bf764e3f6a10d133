"""Quantises a checkpoint to FP8 (e4m3), one scale for each 128 x 128 weights, the way published FP8 checkpoints are."""

import json
import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

BLOCK = 128
LARGEST = 448.0  # of e4m3

# Linear layers that stay in bfloat16: small, or the result is sensitive to them.
KEPT = ("lm_head", "embed_tokens", ".mlp.gate.", "shared_expert_gate", "in_proj_ba", "conv1d", "norm", "mtp.fc")


def quantize(weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Weight [rows, columns] -> e4m3 of the same shape, and the float32 factors of its blocks that restore it."""
    rows, columns = weight.shape
    row_blocks, column_blocks = (rows + BLOCK - 1) // BLOCK, (columns + BLOCK - 1) // BLOCK
    padded = torch.zeros(row_blocks * BLOCK, column_blocks * BLOCK)
    padded[:rows, :columns] = weight.float()
    blocks = padded.view(row_blocks, BLOCK, column_blocks, BLOCK).permute(0, 2, 1, 3)
    scales = blocks.abs().amax((-1, -2)).clamp(min=1e-12) / LARGEST
    scaled = (blocks / scales[:, :, None, None]).clamp(-LARGEST, LARGEST)
    merged = scaled.permute(0, 2, 1, 3).reshape(row_blocks * BLOCK, column_blocks * BLOCK)
    return merged[:rows, :columns].contiguous().to(torch.float8_e4m3fn), scales.to(torch.float32).contiguous()


def dequantize(weight: torch.Tensor, scales: torch.Tensor) -> torch.Tensor:
    """The float32 weight that `quantize`'s results stand for."""
    rows, columns = weight.shape
    factors = scales.repeat_interleave(BLOCK, 0)[:rows].repeat_interleave(BLOCK, 1)[:, :columns]
    return weight.float() * factors


def quantize_checkpoint(source: Path, target: Path) -> dict[str, torch.Tensor]:
    """Writes the FP8 copy of `source` to `target`; returns all of its tensors, the quantised ones restored."""
    target.mkdir(parents=True, exist_ok=True)
    stored: dict[str, torch.Tensor] = {}
    restored: dict[str, torch.Tensor] = {}
    kept_modules = []
    for file in sorted(source.glob("*.safetensors")):
        for name, weight in load_file(file).items():
            is_matrix = weight.ndim == 2 and name.endswith(".weight")
            if is_matrix and not any(part in name for part in KEPT):
                stored[name], stored[name + "_scale_inv"] = quantize(weight)
                restored[name] = dequantize(stored[name], stored[name + "_scale_inv"])
                continue
            stored[name] = restored[name] = weight
            if weight.ndim >= 2 and name.endswith(".weight") and "embed" not in name:
                kept_modules.append(name.removesuffix(".weight"))
    save_file(stored, target / "model.safetensors", metadata={"format": "pt"})

    config = json.loads((source / "config.json").read_text())
    config["quantization_config"] = {
        "activation_scheme": "dynamic",
        "fmt": "e4m3",
        "quant_method": "fp8",
        "weight_block_size": [BLOCK, BLOCK],
        "modules_to_not_convert": sorted(kept_modules),
    }
    (target / "config.json").write_text(json.dumps(config, indent=2))
    for file in ("tokenizer.json", "tokenizer_config.json", "generation_config.json"):
        shutil.copy(source / file, target)
    return restored
