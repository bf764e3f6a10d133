"""Writes what Jinja2 makes of every template in jinja2.json back into the file.

    pip install jinja2==3.1.6 && python3 regenerate.py

The environment is the one Hugging Face transformers gives chat templates. A case is [template, expected]; null stands for an error.
The clock of strftime_now is stopped, as it is in Jinja2CasesTests.
"""
import json
import pathlib
from datetime import datetime

import jinja2
import jinja2.nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

FILE = pathlib.Path(__file__).with_name("jinja2.json")
NOW = datetime(2025, 1, 2, 3, 4, 5)


class GenerationBlocks(Extension):
    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return jinja2.nodes.CallBlock(self.call_method("_render"), [], [], body).set_lineno(line)

    def _render(self, caller):
        return caller()


def raise_exception(message):
    raise jinja2.exceptions.TemplateError(message)


def tojson(value, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def main():
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[GenerationBlocks, loopcontrols])
    environment.filters["tojson"] = tojson
    environment.globals["raise_exception"] = raise_exception
    environment.globals["strftime_now"] = NOW.strftime

    data = json.loads(FILE.read_text("utf-8"))
    for case in data["cases"]:
        try:
            case[1] = environment.from_string(case[0]).render(**data["inputs"])
        except Exception:
            case[1] = None

    lines = ",\n".join("    " + json.dumps(case) for case in data["cases"])
    FILE.write_text('{\n  "inputs": ' + json.dumps(data["inputs"]) + ',\n  "cases": [\n' + lines + "\n  ]\n}\n", "utf-8")


main()
