"""Small random checkpoints of every architecture, with transformers' logits and hidden states for one prompt.

Fresh weights would give nearly constant logits; these are drawn larger, so that a mistake anywhere shows.
"""

import traceback
import zlib
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import save_file

from progress import log

PROMPT_TOKENS = 150

ATTENTION = {
    "vocab_size": 320,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 32,
    "max_position_embeddings": 4096,
}
LINEAR_ATTENTION = {
    "linear_key_head_dim": 32,
    "linear_value_head_dim": 32,
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 4,
}
EXPERTS = {"moe_intermediate_size": 32, "num_experts": 6, "num_experts_per_tok": 3}
SHARED_EXPERT = {"shared_expert_intermediate_size": 48}


@torch.no_grad()
def randomize(model: torch.nn.Module, seed: int) -> None:
    """Overwrites every parameter, by kind."""
    torch.manual_seed(seed)
    for name, p in model.named_parameters():
        if "A_log" in name:
            p.copy_(torch.empty_like(p).uniform_(1, 12).log())
        elif "dt_bias" in name:
            p.uniform_(-2, 2)
        elif "norm" in name:
            p.add_(torch.randn_like(p) * 0.1)
        elif p.ndim >= 2:
            p.copy_(torch.randn_like(p) * (2.0 / p.shape[-1]) ** 0.5 * 0.7)
        else:
            p.copy_(torch.randn_like(p) * 0.1)


def save(folder: Path, model: torch.nn.Module, load: Callable) -> None:
    """Writes the model with random weights in bfloat16, and what `load`, the float32 model, computes with them."""
    model = model.float().eval()
    randomize(model, seed=zlib.crc32(folder.name.encode()) % 1000)
    model.to(torch.bfloat16).save_pretrained(folder)
    loaded = load(folder)
    torch.manual_seed(3)
    ids = torch.randint(0, loaded.config.vocab_size, (1, PROMPT_TOKENS))
    with torch.no_grad():
        output = loaded(ids.to("cuda"), use_cache=False, output_hidden_states=True)
    expected = {
        "input_ids": ids[0].int(),
        "logits": output.logits[0].float().cpu().contiguous(),
        "hidden": torch.stack([states[0] for states in output.hidden_states]).float().cpu().contiguous(),
    }
    save_file(expected, folder / "expected.safetensors")
    log("random", folder.name, "standard deviation of the logits", output.logits.std().item())


def save_qwen3_next(folder: Path, load: Callable) -> None:
    from transformers import Qwen3NextConfig, Qwen3NextForCausalLM

    def model(**settings):
        return Qwen3NextForCausalLM(Qwen3NextConfig(**settings))

    base = {**ATTENTION, **LINEAR_ATTENTION, **EXPERTS, **SHARED_EXPERT}
    save(folder / "next-moe", model(num_hidden_layers=4, **base), load)
    save(
        folder / "next-mixed-mlp",
        model(num_hidden_layers=6, mlp_only_layers=[1, 4], attention_bias=True, **base),
        load,
    )
    tied = model(
        num_hidden_layers=2,
        layer_types=["full_attention", "linear_attention"],
        tie_word_embeddings=True,
        norm_topk_prob=False,
        **base,
    )
    save(folder / "next-tied-nonorm", tied, load)
    odd_heads = {
        "head_dim": 64,
        "linear_key_head_dim": 64,
        "linear_value_head_dim": 128,
        "linear_num_key_heads": 1,
        "linear_num_value_heads": 3,
    }
    rope = {"rope_type": "default", "rope_theta": 10000000.0, "partial_rotary_factor": 0.5}
    save(folder / "next-odd-heads", model(num_hidden_layers=4, rope_parameters=rope, **{**base, **odd_heads}), load)


def save_qwen3_5(folder: Path, load: Callable) -> None:
    from transformers import Qwen3_5ForCausalLM, Qwen3_5MoeForCausalLM, Qwen3_5MoeTextConfig, Qwen3_5TextConfig

    experts = {**ATTENTION, **LINEAR_ATTENTION, **EXPERTS, **SHARED_EXPERT}
    del experts["intermediate_size"]
    save(folder / "qwen35-moe", Qwen3_5MoeForCausalLM(Qwen3_5MoeTextConfig(num_hidden_layers=4, **experts)), load)
    dense = {**ATTENTION, **LINEAR_ATTENTION}
    save(folder / "qwen35-dense", Qwen3_5ForCausalLM(Qwen3_5TextConfig(num_hidden_layers=4, **dense)), load)


def save_qwen3(folder: Path, load: Callable) -> None:
    from transformers import Qwen3Config, Qwen3ForCausalLM, Qwen3MoeConfig, Qwen3MoeForCausalLM

    base = {**ATTENTION, "num_hidden_layers": 3}
    save(folder / "qwen3-dense", Qwen3ForCausalLM(Qwen3Config(**base)), load)
    save(folder / "qwen3-moe", Qwen3MoeForCausalLM(Qwen3MoeConfig(norm_topk_prob=True, **EXPERTS, **base)), load)


def save_all(folder: Path, load: Callable) -> None:
    """All families; one that this transformers lacks is reported and does not keep the others from being written."""
    for save_family in (save_qwen3_next, save_qwen3_5, save_qwen3):
        try:
            save_family(folder, load)
        except Exception:
            traceback.print_exc()
