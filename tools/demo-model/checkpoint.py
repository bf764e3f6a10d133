"""Writes the checkpoint the way published Qwen3-Next checkpoints are: sharded safetensors, one tensor for each expert."""

import json
import tempfile
from pathlib import Path

import torch
from safetensors.torch import load, save_file
from tokenizers import Tokenizer

import chats
from model import PARTIAL_ROTARY_FACTOR, ROPE_THETA, SIZES
from tokenization import END_OF_TEXT, MESSAGE_END, MESSAGE_START

SHARD_BYTES = 8_000_000


def tensors(model, mtp) -> dict[str, torch.Tensor]:
    """All tensors by their published names, in bfloat16 on the CPU."""
    stored: dict[str, torch.Tensor] = {}
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)  # splits the model's fused experts
        for file in Path(folder).glob("*.safetensors"):
            stored.update(load(file.read_bytes()))
    for name, tensor in mtp.state_dict().items():
        if name.endswith("experts.gate_up_proj"):
            prefix = "mtp." + name.removesuffix("gate_up_proj")
            for expert, fused in enumerate(tensor):
                gate, up = fused.chunk(2, 0)
                stored[f"{prefix}{expert}.gate_proj.weight"] = gate
                stored[f"{prefix}{expert}.up_proj.weight"] = up
        elif name.endswith("experts.down_proj"):
            prefix = "mtp." + name.removesuffix("down_proj")
            for expert, down in enumerate(tensor):
                stored[f"{prefix}{expert}.down_proj.weight"] = down
        else:
            stored["mtp." + name] = tensor
    return {name: tensor.cpu().to(torch.bfloat16).contiguous().clone() for name, tensor in stored.items()}


def save_weights(folder: Path, stored: dict[str, torch.Tensor]) -> None:
    """Shards of at most SHARD_BYTES, in the order of the names, and their index."""
    shards: list[dict[str, torch.Tensor]] = [{}]
    shard_bytes = 0
    for name in sorted(stored):
        tensor_bytes = stored[name].numel() * 2
        if shard_bytes + tensor_bytes > SHARD_BYTES:
            shards.append({})
            shard_bytes = 0
        shards[-1][name] = stored[name]
        shard_bytes += tensor_bytes
    weight_map = {}
    for i, shard in enumerate(shards):
        file = f"model-{i + 1:05d}-of-{len(shards):05d}.safetensors"
        save_file(shard, folder / file, metadata={"format": "pt"})
        weight_map.update(dict.fromkeys(shard, file))
    total = sum(tensor.numel() * 2 for tensor in stored.values())
    index = {"metadata": {"total_size": total}, "weight_map": weight_map}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index, indent=1))


def configuration(tokenizer: Tokenizer) -> dict:
    """config.json, in the fields of the generation of transformers that Qwen3-Next was published with."""
    return {
        **SIZES,
        "architectures": ["Qwen3NextForCausalLM"],
        "attention_bias": False,
        "attention_dropout": 0.0,
        "bos_token_id": tokenizer.token_to_id(END_OF_TEXT),
        "decoder_sparse_step": 1,
        "eos_token_id": tokenizer.token_to_id(MESSAGE_END),
        "full_attention_interval": 4,
        "hidden_act": "silu",
        "initializer_range": 0.02,
        "linear_conv_kernel_dim": 4,
        "mlp_only_layers": [],
        "model_type": "qwen3_next",
        "norm_topk_prob": True,
        "output_router_logits": False,
        "partial_rotary_factor": PARTIAL_ROTARY_FACTOR,
        "rms_norm_eps": 1e-06,
        "rope_scaling": None,
        "rope_theta": ROPE_THETA,
        "router_aux_loss_coef": 0.001,
        "tie_word_embeddings": False,
        "torch_dtype": "bfloat16",
        "transformers_version": "4.57.0",
        "use_cache": True,
        "use_sliding_window": False,
    }


def tokenizer_configuration() -> dict:
    return {
        "add_bos_token": False,
        "add_prefix_space": False,
        "bos_token": None,
        "chat_template": chats.TEMPLATE,
        "clean_up_tokenization_spaces": False,
        "eos_token": MESSAGE_END,
        "pad_token": END_OF_TEXT,
        "unk_token": None,
        "model_max_length": SIZES["max_position_embeddings"],
        "errors": "replace",
        "split_special_tokens": False,
        "tokenizer_class": "Qwen2Tokenizer",
        "additional_special_tokens": [MESSAGE_START, MESSAGE_END],
    }


def generation_configuration(tokenizer: Tokenizer) -> dict:
    text_end, message_end = tokenizer.token_to_id(END_OF_TEXT), tokenizer.token_to_id(MESSAGE_END)
    return {
        "bos_token_id": text_end,
        "do_sample": True,
        "eos_token_id": [message_end, text_end],
        "pad_token_id": text_end,
        "temperature": 0.7,
        "top_k": 20,
        "top_p": 0.8,
    }


def save(folder: Path, model, mtp, tokenizer: Tokenizer) -> None:
    """Everything beside tokenizer.json, which is there already."""
    save_weights(folder, tensors(model, mtp))
    (folder / "config.json").write_text(json.dumps(configuration(tokenizer), indent=2, sort_keys=True))
    (folder / "tokenizer_config.json").write_text(json.dumps(tokenizer_configuration(), indent=2))
    (folder / "generation_config.json").write_text(json.dumps(generation_configuration(tokenizer), indent=2))
