"""The evaluation: 1,200 questions, and exact match of their answers.

The answers are teacher-forced: an answer counts if every one of its tokens is the argmax given the tokens before it,
which is when greedy decoding would write it.
"""

import random
from collections.abc import Iterator

import torch
from tokenizers import Tokenizer

import chats
from model import draft_logits
from tokenization import renderer

SEED = 999  # no training stream has it
QUESTIONS = (
    (chats.api, 300),
    (chats.params, 100),
    (chats.recall, 150),
    (chats.notes, 150),
    (chats.arith, 150),
    (chats.tool, 150),
    (chats.extract, 100),
    (chats.think, 100),
)


def build_items(tokenizer: Tokenizer) -> list[dict]:
    """The questions: messages, tools and expected answer, as the API has them and as token ids."""
    r, render = random.Random(SEED), renderer()
    items = []
    for generate, count in QUESTIONS:
        for _ in range(count):
            chat = generate(r, held=True)
            *messages, answer = chat["messages"]
            prompt, full = render({**chat, "messages": messages}, True), render(chat)
            assert full.startswith(prompt), (prompt, full)
            items.append({
                "task": chat["task"],
                "messages": messages,
                "tools": chat.get("tools"),
                "answer": answer,
                "prompt_ids": tokenizer.encode(prompt).ids,
                "answer_ids": tokenizer.encode(full[len(prompt):]).ids[:-1],  # without the line break after the message
            })
    return items


def batches(items: list[dict], size: int) -> Iterator[tuple[list[dict], torch.Tensor]]:
    """The items `size` at a time, with their prompts and answers as ids on the GPU, padded at the end with zeros."""
    for start in range(0, len(items), size):
        batch = items[start:start + size]
        sequences = [item["prompt_ids"] + item["answer_ids"] for item in batch]
        ids = torch.zeros(len(batch), max(map(len, sequences)), dtype=torch.long, device="cuda")
        for row, sequence in zip(ids, sequences):
            row[:len(sequence)] = torch.tensor(sequence)
        yield batch, ids


def score(item: dict, predicted: torch.Tensor, column: str, scores: dict[str, list[int]]) -> bool:
    """Marks the item under `column` and counts it in `scores`, task -> [right, all]; `predicted` is the row's argmax."""
    prompt, answer = len(item["prompt_ids"]), len(item["answer_ids"])
    correct = predicted[prompt - 1:prompt + answer - 1].tolist() == item["answer_ids"]
    item[column] = correct
    counts = scores.setdefault(item["task"], [0, 0])
    counts[0] += correct
    counts[1] += 1
    return correct


def summary(scores: dict[str, list[int]]) -> dict[str, str]:
    return {task: f"{right}/{total}" for task, (right, total) in scores.items()}


@torch.no_grad()
def evaluate(model, mtp, items: list[dict]) -> tuple[dict[str, list[int]], list[int]]:
    """Scores the model in training precision, and its head on the answers the model gets right.

    Returns the scores and [tokens the head drafts as the model then chooses them, all of them].
    """
    scores: dict[str, list[int]] = {}
    agreement = [0, 0]
    for batch, ids in batches(items, 32):
        hidden = model.model(ids, use_cache=False).last_hidden_state
        chosen = model.lm_head(hidden).argmax(-1)
        drafted = draft_logits(model, mtp, hidden, ids[:, 1:]).argmax(-1)
        for i, item in enumerate(batch):
            if score(item, chosen[i], "correct_bf16", scores):
                prompt, answer = len(item["prompt_ids"]), len(item["answer_ids"])
                same = drafted[i, prompt - 1:prompt + answer - 2] == chosen[i, prompt:prompt + answer - 1]
                agreement[0] += same.sum().item()
                agreement[1] += answer - 1
    return scores, agreement
