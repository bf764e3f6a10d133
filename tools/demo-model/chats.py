"""Synthetic chats for the demonstration model, and the chat template that renders them.

Every generator takes a `random.Random` and returns a chat: a dict with "task", "messages" (OpenAI style) and, for tool
calls, "tools". With `held` it returns the single-question form that the evaluation uses. The order of the draws is part
of the recipe: change it and the same seed makes other chats, hence another model.

Run as a program, this prints chats to look at.
"""

import argparse
import gzip
import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import facts

HERE = Path(__file__).resolve().parent

FACTS: list[dict] = json.loads(gzip.decompress((HERE / "facts.json.gz").read_bytes()))
TEMPLATE = (HERE / "chat_template.jinja").read_text(encoding="utf-8").removesuffix("\n")

# How one asks about a method, a property or a type. HELD_QUESTION is the rarer form that the evaluation uses.
QUESTIONS = {
    facts.METHOD: [
        "What does {n} do?", "Explain {n}.", "What is {n} for?", "Describe the method {n}.", "In .NET, what does {n} do?",
    ],
    facts.PROPERTY: [
        "What is {n}?", "Explain {n}.", "Describe the property {n}.", "What does {n} return?", "In .NET, what is {n}?",
    ],
    facts.TYPE: [
        "What is {n}?", "Explain {n}.", "Describe the type {n}.", "In .NET, what is {n}?", "What is {n} used for?",
    ],
}
HELD_QUESTION = "Tell me about {n}."

NOUNS = (
    "apple river mountain lantern copper violin window garden bridge castle pepper ribbon anchor candle marble engine "
    "forest harbor island jacket kettle ladder mirror needle orange pillow quartz rocket saddle temple umbrella velvet "
    "wagon zebra basket cannon dragon falcon guitar hammer"
).split()
NAMES = (
    "Ann Ben Carla Dmitri Elena Farid Grace Hiro Ines Jonas Kira Liam Mina Noah Olga Pablo Quinn Rosa Sven Tara Uma "
    "Viktor Wendy Yusuf Zoe"
).split()
CITIES = (
    "Paris Tokyo Cairo Lima Oslo Delhi Rome Quito Dublin Seoul Nairobi Toronto Vienna Sydney Havana Lisbon Prague Athens "
    "Boston Geneva"
).split()

# Half of the chats have no system message.
SYSTEM_MESSAGES = [
    "You are a helpful assistant.", "You are a concise assistant that knows .NET.", "Answer briefly.", None, None, None,
]


def system(r: random.Random, extra: str | None = None) -> list[dict]:
    """A system message or none; `extra` is appended to it, and makes one if there was none."""
    text = r.choice(SYSTEM_MESSAGES)
    if extra:
        text = (text + "\n\n" if text else "") + extra
    return [{"role": "system", "content": text}] if text else []


def turn(question: str, answer: str) -> list[dict]:
    """A question of the user and the assistant's answer."""
    return [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]


def fact_turn(r: random.Random) -> list[dict]:
    """A question about a random API, in one of the common forms."""
    fact = r.choice(FACTS)
    return turn(r.choice(QUESTIONS[fact["k"]]).format(n=fact["name"]), fact["summary"])


def api(r: random.Random, held: bool = False) -> dict:
    """One to four questions about .NET APIs, answered with the summaries of the reference documentation."""
    messages = system(r)
    for _ in range(1 if held else r.choice([1, 1, 2, 3, 4])):
        fact = r.choice(FACTS)
        question = HELD_QUESTION if held or r.random() < 0.1 else r.choice(QUESTIONS[fact["k"]])
        messages += turn(question.format(n=fact["name"]), fact["summary"])
    return {"task": "api", "messages": messages}


def params(r: random.Random, held: bool = False) -> dict:
    """The documented parameters of a method."""
    while True:
        fact = r.choice(FACTS)
        if fact["k"] == facts.METHOD and fact["params"] and all(d and len(d) < 120 for _, d in fact["params"]):
            break
    answer = "\n".join(f"- {name}: {description}" for name, description in fact["params"])
    return {
        "task": "params",
        "messages": system(r) + turn(f"What are the parameters of {fact['name']}?", answer),
    }


def recall(r: random.Random, held: bool = False) -> dict:
    """Codes given in one message or one by one, other questions in between, then questions about the codes."""
    count = r.randint(2, 10 if held else 12)
    nouns = r.sample(NOUNS, count)
    codes = [(noun, r.randint(10, 9999)) for noun in nouns]
    messages = system(r)
    if r.random() < 0.5:
        listed = ", ".join(f"{noun}={code}" for noun, code in codes)
        messages += turn(f"Remember these codes: {listed}.", "I will remember them.")
    else:
        codes = codes[:6]
        for noun, code in codes:
            messages += turn(f"The code of the {noun} is {code}.", "Noted.")
    for _ in range(r.choice([0, 0, 1, 2, 4])):
        messages += fact_turn(r)
    for _ in range(1 if held else r.choice([1, 2, 3])):
        noun, code = r.choice(codes)
        question = r.choice(["What is the code of the {x}?", "Which code did I give for the {x}?"])
        messages += turn(question.format(x=noun), f"The code of the {noun} is {code}.")
    return {"task": "recall", "messages": messages}


def notes(r: random.Random, held: bool = False) -> dict:
    """Look-ups in notes about invented types: the task the shipped model did not learn."""
    # Only the length of the sample is used; drawing it keeps the random stream of the shipped model.
    count = len(r.sample(FACTS, r.choice([4, 8, 16, 32])))
    entries = [(f"{r.choice(NAMES)}{r.choice(NOUNS).title()}", r.choice(FACTS)["summary"]) for _ in range(count)]
    messages = system(r, "Notes about a private library:\n" + "\n".join(f"- {name}: {text}" for name, text in entries))
    for _ in range(1 if held else r.choice([1, 2, 3])):
        name, text = r.choice(entries)
        messages += turn(f"According to the notes, what is {name}?", text)
    return {"task": "notes", "messages": messages}


def arith(r: random.Random, held: bool = False) -> dict:
    """Sums and non-negative differences of two numbers below 100."""
    messages = system(r)
    for _ in range(1 if held else r.choice([1, 2, 4])):
        x, y = r.randint(0, 99), r.randint(0, 99)
        if r.random() < 0.5:
            expression, value = f"{x} + {y}", x + y
        else:
            x, y = max(x, y), min(x, y)
            expression, value = f"{x} - {y}", x - y
        question = r.choice(["What is {q}?", "Compute {q}.", "{q} = ?"])
        messages += turn(question.format(q=expression), f"{expression} = {value}")
    return {"task": "arith", "messages": messages}


class ToolUse(NamedTuple):
    """One use of a tool, from the question to the answer made of its result."""

    question: str
    arguments: dict
    result: dict
    answer: str


@dataclass(frozen=True)
class Tool:
    """A function the model may call: its JSON schema and a generator of uses."""

    name: str
    description: str
    parameters: dict[str, str]
    use: Callable[[random.Random], ToolUse]

    def schema(self) -> dict:
        """The tool as a request declares it; every parameter is required."""
        return {
            "type": "function",
            "function": {
                "name": self.name,
                "description": self.description,
                "parameters": {
                    "type": "object",
                    "properties": {name: {"type": kind} for name, kind in self.parameters.items()},
                    "required": list(self.parameters),
                },
            },
        }


def use_weather(r: random.Random) -> ToolUse:
    city = r.choice(CITIES)
    question = r.choice(["What is the weather in {c}?", "How is the weather in {c} today?"]).format(c=city)
    temperature, sky = r.randint(-10, 38), r.choice(["clear", "cloudy", "rainy"])
    answer = f"It is {temperature} degrees and {sky} in {city}."
    return ToolUse(question, {"city": city}, {"temperature": temperature, "sky": sky}, answer)


def use_time(r: random.Random) -> ToolUse:
    city = r.choice(CITIES)
    question = r.choice(["What time is it in {c}?", "Tell me the time in {c}."]).format(c=city)
    time = f"{r.randint(0, 23):02d}:{r.randint(0, 59):02d}"
    return ToolUse(question, {"city": city}, {"time": time}, f"It is {time} in {city}.")


def use_message(r: random.Random) -> ToolUse:
    name, noun = r.choice(NAMES), r.choice(NOUNS)
    news = f"{name} that the {noun} is ready."
    return ToolUse(f"Tell {news}", {"to": name, "text": f"The {noun} is ready."}, {"sent": True}, f"I told {news}")


def use_search(r: random.Random) -> ToolUse:
    fact, limit = r.choice(FACTS), r.randint(1, 9)
    question = f"Search the docs for {fact['name']}, at most {limit} results."
    arguments = {"query": fact["name"], "limit": limit}
    return ToolUse(question, arguments, {"hits": [fact["full"]]}, f"I found {fact['full']}.")


def use_timer(r: random.Random) -> ToolUse:
    minutes = r.randint(1, 90)
    question = r.choice([f"Set a timer for {minutes} minutes.", f"Wake me in {minutes} minutes."])
    return ToolUse(question, {"minutes": minutes}, {"started": True}, f"The timer is set for {minutes} minutes.")


def use_shop(r: random.Random) -> ToolUse:
    noun, count = r.choice(NOUNS), r.randint(1, 20)
    price = r.randint(2, 200)
    answer = f"I bought {count} of the item {noun} for {price}."
    return ToolUse(f"Buy {count} of the item {noun}.", {"item": noun, "count": count}, {"price": price}, answer)


TOOLS = [
    Tool("get_weather", "Get the weather in a city.", {"city": "string"}, use_weather),
    Tool("get_time", "Get the local time of a city.", {"city": "string"}, use_time),
    Tool("send_message", "Send a message to a person.", {"to": "string", "text": "string"}, use_message),
    Tool("search_docs", "Search the .NET documentation.", {"query": "string", "limit": "integer"}, use_search),
    Tool("set_timer", "Start a timer.", {"minutes": "integer"}, use_timer),
    Tool("buy", "Buy things at the shop.", {"item": "string", "count": "integer"}, use_shop),
]


def tool(r: random.Random, held: bool = False) -> dict:
    """A call of one of up to four declared tools, and usually its result and the answer made of it."""
    declared = r.sample(TOOLS, r.randint(1, 4))
    chosen = r.choice(declared)
    question, arguments, result, answer = chosen.use(r)
    messages = system(r)
    if not held and r.random() < 0.3:
        messages += fact_turn(r)
    call = {"type": "function", "function": {"name": chosen.name, "arguments": arguments}}
    messages += [
        {"role": "user", "content": question},
        {"role": "assistant", "content": "", "tool_calls": [call]},
    ]
    if not held or r.random() < 0.5:
        messages += [
            {"role": "tool", "content": json.dumps(result)},
            {"role": "assistant", "content": answer},
        ]
    return {"task": "tool", "messages": messages, "tools": [t.schema() for t in declared]}


def extract(r: random.Random, held: bool = False) -> dict:
    """A sentence about a person, extracted as JSON."""
    # The last draw is unused; it keeps the random stream of the shipped model.
    name, city, age, _ = r.choice(NAMES), r.choice(CITIES), r.randint(18, 90), r.choice(NOUNS)
    sentence = r.choice([
        f"{name} is {age} years old and lives in {city}.",
        f"In {city} lives {name}, aged {age}.",
        f"{name}, {age}, comes from {city}.",
    ])
    answer = json.dumps({"name": name, "age": age, "city": city})
    return {
        "task": "json",
        "messages": system(r) + turn(f"Extract name, age and city as JSON: {sentence}", answer),
    }


def think(r: random.Random, held: bool = False) -> dict:
    """x + y - z, worked out inside <think> before the answer."""
    messages = system(r)
    for _ in range(1 if held else r.choice([1, 1, 2])):
        x, y = r.randint(0, 60), r.randint(0, 60)
        z = r.randint(0, x + y)
        question = r.choice(["Think step by step: what is {x} + {y} - {z}?", "Reason first, then answer: {x} + {y} - {z}."])
        reasoning = f"<think>\n{x} + {y} = {x + y}\n{x + y} - {z} = {x + y - z}\n</think>"
        messages += turn(question.format(x=x, y=y, z=z), f"{reasoning}\n\nThe answer is {x + y - z}.")
    return {"task": "think", "messages": messages}


# What a training chat is about, and how often.
MIXTURE = [
    (think, 0.06), (api, 0.40), (params, 0.06), (recall, 0.16), (notes, 0.1), (arith, 0.08), (tool, 0.09), (extract, 0.05),
]


def chat(r: random.Random) -> dict:
    """A chat of the training mixture."""
    x = r.random()
    for generate, share in MIXTURE:
        x -= share
        if x < 0:
            return generate(r)
    return api(r)


def main() -> None:
    parser = argparse.ArgumentParser(description="Print chats of the training mixture, one JSON object a line.")
    parser.add_argument("--seed", type=int, default=0, help="seed of the random stream (default: %(default)s)")
    parser.add_argument("--count", type=int, default=14, help="how many chats (default: %(default)s)")
    options = parser.parse_args()
    r = random.Random(options.seed)
    for _ in range(options.count):
        print(json.dumps(chat(r)))


if __name__ == "__main__":
    main()
