"""Trains the demonstration model from nothing: tokenizer, data, model, checkpoint, evaluation.

The clock decides when training ends and how fast the learning rate falls, so another run, or another GPU, gives another
model of the same kind.
"""

import argparse
import json
import math
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from transformers.models.qwen3_next import modeling_qwen3_next as modeling
from transformers.utils.import_utils import is_flash_linear_attention_available

import checkpoint
import evaluation
import packing
import tokenization
from model import build, draft_logits
from progress import log

WARM_UP_STEPS = 60
UNTIMED_STEPS = 12  # the first steps compile kernels; the clock starts after them
# The weight of a token in the loss: every token has the first, the assistant's have both.
TOKEN_WEIGHT, ANSWER_WEIGHT = 0.03, 0.97
DRAFT_LOSS = 0.2
BALANCE_LOSS = 0.005
WEIGHT_DECAY = 0.02
MAX_GRADIENT_NORM = 1.0


def learning_rate(peak: float, step: int, progress: float) -> float:
    """Linear warm-up by steps, then a cosine to 2 % of the peak by the share of the time that is spent."""
    return peak * min(1, (step + 1) / WARM_UP_STEPS) * (0.5 * (1 + math.cos(math.pi * progress)) * 0.98 + 0.02)


def answer_loss(logits, targets, mask):
    """Cross entropy weighted towards the assistant's tokens, and, to look at, its mean over those alone."""
    losses = F.cross_entropy(logits.float().view(-1, logits.shape[-1]), targets.reshape(-1), reduction="none")
    weights = mask.reshape(-1).float() * ANSWER_WEIGHT + TOKEN_WEIGHT
    answers = weights > 0.5
    return (losses * weights).sum() / weights.sum(), (losses.detach() * answers).sum() / answers.sum().clamp(min=1)


class MasterWeights:
    """Float32 copies of bfloat16 parameters, and the optimizer that steps them."""

    def __init__(self, parameters: list[torch.nn.Parameter], peak_rate: float):
        self._parameters = parameters
        self._masters = [p.detach().float().clone() for p in parameters]
        matrices = [m for m in self._masters if m.ndim >= 2]
        vectors = [m for m in self._masters if m.ndim < 2]
        self._optimizer = torch.optim.AdamW(
            [{"params": matrices, "weight_decay": WEIGHT_DECAY}, {"params": vectors, "weight_decay": 0}],
            lr=peak_rate,
            betas=(0.9, 0.95),
            fused=True,
        )

    def step(self, rate: float) -> None:
        """One clipped AdamW step from the parameters' gradients, which it clears."""
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        gradients = [
            p.grad.float() if p.grad is not None else torch.zeros_like(m) for p, m in zip(self._parameters, self._masters)
        ]
        norm = torch.sqrt(sum((g * g).sum() for g in gradients))
        scale = torch.clamp(MAX_GRADIENT_NORM / (norm + 1e-6), max=1.0)
        for master, gradient in zip(self._masters, gradients):
            master.grad = gradient * scale
        self._optimizer.step()
        with torch.no_grad():
            torch._foreach_copy_(self._parameters, self._masters)
        for p in self._parameters:
            p.grad = None


class Shuffle:
    """Endless batches of row indices, in a new order for each pass over the data."""

    def __init__(self, rows: int, batch: int):
        self._rows, self._batch = rows, batch
        self._generator = torch.Generator(device="cuda").manual_seed(1)
        self._restart()

    def _restart(self) -> None:
        self._order = torch.randperm(self._rows, generator=self._generator, device="cuda")
        self._at = 0

    def next(self) -> torch.Tensor:
        if self._at + self._batch > self._rows:
            self._restart()
        self._at += self._batch
        return self._order[self._at - self._batch:self._at]


def train(model, mtp, rows: np.ndarray, masks: np.ndarray, options: argparse.Namespace) -> int:
    """Trains until the time is up; returns the number of steps."""
    config = model.config
    weights = MasterWeights([*model.parameters(), *mtp.parameters()], options.lr)
    tokens, answers = torch.from_numpy(rows.astype(np.int64)).cuda(), torch.from_numpy(masks).cuda()
    shuffle = Shuffle(len(tokens), options.rows)
    balance = True  # until transformers turns out not to give the load-balancing loss
    step = 0
    started = time.time()
    while True:
        elapsed = time.time() - started
        if step == UNTIMED_STEPS:
            started = time.time()
            elapsed = 0
        if step > UNTIMED_STEPS and elapsed > options.seconds:
            return step
        rate = learning_rate(options.lr, step, min(1, elapsed / options.seconds))

        batch = shuffle.next()
        x, mask = tokens[batch], answers[batch]
        inputs = {"output_router_logits": True} if balance else {}
        output = model.model(x[:, :-1], use_cache=False, **inputs)
        hidden = output.last_hidden_state
        loss, answer = answer_loss(model.lm_head(hidden), x[:, 1:], mask[:, 1:])
        draft, draft_answer = answer_loss(draft_logits(model, mtp, hidden, x[:, 1:-1]), x[:, 2:], mask[:, 2:])
        total = loss + DRAFT_LOSS * draft
        if balance:
            try:
                router_logits = getattr(output, "router_logits", None)
                balance_loss = modeling.load_balancing_loss_func(
                    router_logits, config.num_experts, config.num_experts_per_tok
                )
                total = total + BALANCE_LOSS * balance_loss
            except Exception as error:
                log("no load-balancing loss:", error)
                balance = False
        total.backward()
        weights.step(rate)

        step += 1
        if step in (1, 2, 5, 12, 20) or step % 100 == 0:
            seconds = (time.time() - started) / max(1, step - UNTIMED_STEPS)
            log(
                f"step {step} ({seconds:.3f}s/step) lr {rate:.2e} loss {loss.item():.3f} answers {answer.item():.4f} "
                f"drafts {draft_answer.item():.4f}",
                f"balance {balance_loss.item():.3f}" if balance else "",
            )


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Train the demonstration model on one GPU and write its checkpoint and evaluation.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--seconds", type=float, default=380, help="training time, after the first steps")
    parser.add_argument("--chats", type=int, default=400000, help="chats to generate as training data")
    parser.add_argument("--out", type=Path, default="demo", help="folder to write")
    parser.add_argument("--rows", type=int, default=32, help="rows of tokens in a batch")
    parser.add_argument("--lr", type=float, default=3e-3, help="peak learning rate")
    parser.add_argument("--len", type=int, default=2048, dest="length", help="tokens in a row")
    return parser.parse_args()


def main() -> None:
    options = parse_arguments()
    options.out.mkdir(parents=True, exist_ok=True)
    tokenizer_file = options.out / "tokenizer.json"
    tokenizer = tokenization.build(tokenizer_file)
    log("tokenizer", tokenizer.get_vocab_size())
    rows, masks = packing.pack(tokenizer_file, options.chats, options.length)
    log("rows", rows.shape, "share of answers", masks.mean())

    log("torch", torch.__version__, "flash-linear-attention", is_flash_linear_attention_available())
    torch.manual_seed(0)
    torch.backends.cuda.matmul.allow_tf32 = True
    model, mtp = build(tokenizer)
    for name, module in (("model", model), ("mtp", mtp)):
        log(name, "parameters", sum(p.numel() for p in module.parameters()))

    model.train()
    mtp.train()
    steps = train(model, mtp, rows, masks, options)
    log("steps", steps, "tokens", steps * options.rows * options.length)
    model.eval()
    mtp.eval()

    checkpoint.save(options.out, model, mtp, tokenizer)
    log("saved", {file.name: file.stat().st_size for file in options.out.iterdir()})

    items = evaluation.build_items(tokenizer)
    scores, agreement = evaluation.evaluate(model, mtp, items)
    log("exact match", evaluation.summary(scores), "drafts agree", agreement[0] / max(1, agreement[1]))
    results = {"exact_match_bf16": scores, "mtp_agreement": agreement, "steps": steps, "items": items}
    (options.out / "eval.json").write_text(json.dumps(results))


if __name__ == "__main__":
    main()
