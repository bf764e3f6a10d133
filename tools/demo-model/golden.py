"""Reference outputs of the demonstration model, and of small random models, from transformers in float32.

No fused kernels: install no flash-linear-attention where this runs. What it writes is described in README.md.
"""

import argparse
import json
import random
import tempfile
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils.import_utils import is_flash_linear_attention_available

import evaluation
import fp8
import gated_delta_rule
import random_models
from progress import elapsed, log
from tokenization import END_OF_TEXT, MESSAGE_END

GREEDY_TOKENS = 40
GREEDY_ITEMS_PER_TASK = 6
GREEDY_SEED = 5
GREEDY_UNTIL = 150  # seconds after the start: every token runs the whole prompt again, so the list is cut there
LONG_TOKENS = 3000

# Text the model was never trained on, to test tokenizers and arithmetic away from the beaten track.
PLAIN_TEXTS = [
    "The quick brown fox jumps over the lazy dog.",
    "public static int Main(string[] args) { return 0; }",
    "Dépêche-toi, naïve café! über Straße",
    "你好，世界。今天天气怎么样？",
    "🙂🚀 emoji and \t tabs\n\nnewlines   spaces 12345 67.89e-10",
    "<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\n",
]


def load(folder: Path):
    """The model in float32, with transformers' plainest attention."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager")
    return model.to("cuda").eval()


def count_prompt_disagreements(tokenizer, items: list[dict]) -> int:
    """How many prompts transformers' own template and tokenizer make different from the training's."""
    disagreements = 0
    for item in items:
        text = tokenizer.apply_chat_template(
            item["messages"], tools=item["tools"], add_generation_prompt=True, tokenize=False
        )
        disagreements += tokenizer(text)["input_ids"] != item["prompt_ids"]
    return disagreements


@torch.no_grad()
def exact_match(model, items: list[dict]) -> dict[str, list[int]]:
    """Marks every item as right or wrong in float32; returns the scores."""
    scores: dict[str, list[int]] = {}
    for batch, ids in evaluation.batches(items, 16):
        predicted = model(ids, use_cache=False).logits.argmax(-1)
        for i, item in enumerate(batch):
            evaluation.score(item, predicted[i], "correct_fp32", scores)
    return scores


@torch.no_grad()
def greedy(model, tokenizer, prompt_ids: list[int]) -> tuple[list[int], list[list]]:
    """A greedy continuation, and the eight best [token, log-probability] at each of its steps."""
    ends = [tokenizer.convert_tokens_to_ids(token) for token in (MESSAGE_END, END_OF_TEXT)]
    ids, steps = list(prompt_ids), []
    for _ in range(GREEDY_TOKENS):
        logits = model(torch.tensor([ids], device="cuda"), use_cache=False).logits[0].float()[-1]
        values, indices = logits.log_softmax(-1).topk(8)
        steps.append([[int(token), round(float(value), 5)] for token, value in zip(indices, values)])
        ids.append(int(indices[0]))
        if ids[-1] in ends:
            break
    return ids[len(prompt_ids):], steps


def greedy_continuations(model, tokenizer, items: list[dict]) -> list[dict]:
    """Continuations of a few prompts of each task, then of plain texts."""
    r = random.Random(GREEDY_SEED)
    chosen = []
    for task in dict.fromkeys(item["task"] for item in items):
        chosen += r.sample([item for item in items if item["task"] == task], GREEDY_ITEMS_PER_TASK)
    for text in PLAIN_TEXTS:
        prompt_ids = tokenizer(text)["input_ids"]
        chosen.append({"task": "text", "messages": None, "tools": None, "prompt_ids": prompt_ids, "text": text})
    continuations = []
    for item in chosen:
        ids, steps = greedy(model, tokenizer, item["prompt_ids"])
        continuations.append({
            "task": item["task"],
            "messages": item["messages"],
            "tools": item["tools"],
            "text": item.get("text"),
            "prompt_ids": item["prompt_ids"],
            "greedy_ids": ids,
            "top8": steps,
            "greedy_text": tokenizer.decode(ids),
        })
        if elapsed() > GREEDY_UNTIL:
            log("continuations cut at", len(continuations))
            break
    return continuations


def long_stream(items: list[dict]) -> list[int]:
    """Many chats after each other: one long prompt."""
    stream = []
    for item in items[:60]:
        stream += item["prompt_ids"] + item["answer_ids"]
    return stream[:LONG_TOKENS]


@torch.no_grad()
def save_long_outputs(model, stream: list[int], path: Path, hidden_states: bool) -> float:
    """Writes nll and argmax at each position, and with `hidden_states` those of the last 64; returns the mean nll."""
    ids = torch.tensor([stream], device="cuda")
    output = model(ids, use_cache=False, output_hidden_states=hidden_states)
    log_probabilities = output.logits[0].float().log_softmax(-1)
    nll = -log_probabilities[:-1].gather(1, ids[0, 1:, None])[:, 0]
    tensors = {
        "input_ids": ids[0].int().cpu(),
        "nll": nll.cpu().contiguous(),
        "argmax": log_probabilities.argmax(-1).int().cpu(),
        "last_logits": output.logits[0, -1].float().cpu().contiguous(),
    }
    if hidden_states:
        last = torch.stack([states[0, -64:] for states in output.hidden_states])
        tensors["hidden_last64"] = last.float().cpu().contiguous()
    save_file(tensors, path)
    return nll.mean().item()


def save_dequantized(source: Path, tensors: dict[str, torch.Tensor], folder: Path) -> None:
    """A float32 checkpoint of dequantised weights, for transformers to load."""
    floats = {name: tensor.float().contiguous() for name, tensor in tensors.items()}
    save_file(floats, folder / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((source / "config.json").read_text())
    config["torch_dtype"] = "float32"
    (folder / "config.json").write_text(json.dumps(config))


def main() -> None:
    parser = argparse.ArgumentParser(description="Write transformers' reference outputs for the demonstration model.")
    parser.add_argument("model", type=Path, help="the folder train.py wrote")
    parser.add_argument("out", type=Path, help="folder to write")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    assert not is_flash_linear_attention_available(), "flash-linear-attention would replace the reference arithmetic"
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False

    results = json.loads((options.model / "eval.json").read_text())
    items = results["items"]
    tokenizer = AutoTokenizer.from_pretrained(options.model)
    log("prompts that differ", count_prompt_disagreements(tokenizer, items[::7]))

    model = load(options.model)
    log("loaded")
    results["exact_match_fp32"] = exact_match(model, items)
    log("exact match", evaluation.summary(results["exact_match_fp32"]))
    (options.out / "eval.json").write_text(json.dumps(results))

    continuations = greedy_continuations(model, tokenizer, items)
    (options.out / "demo_greedy.json").write_text(json.dumps(continuations))
    log("continuations", len(continuations))

    stream = long_stream(items)
    log("mean nll", save_long_outputs(model, stream, options.out / "demo_long.safetensors", hidden_states=True))

    dequantized = fp8.quantize_checkpoint(options.model, options.out / "demo-fp8")
    with tempfile.TemporaryDirectory() as folder:
        save_dequantized(options.model, dequantized, Path(folder))
        model = load(Path(folder))
        nll = save_long_outputs(model, stream, options.out / "demo_fp8_long.safetensors", hidden_states=False)
        log("mean nll, fp8", nll)
    del model

    random_models.save_all(options.out / "random", load)
    save_file(gated_delta_rule.reference(), options.out / "gated_delta_rule.safetensors")
    files = [file for file in options.out.rglob("*") if file.is_file()]
    log("saved", {str(file.relative_to(options.out)): file.stat().st_size for file in files})


if __name__ == "__main__":
    main()
