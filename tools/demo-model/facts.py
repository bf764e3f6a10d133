"""Collects API facts from the XML documentation of the .NET reference assemblies.

A fact is one documented type, method or property of the commonly used System namespaces: its short name, the first
sentence of its summary, what it returns and its first four parameters. A short name that two members share is dropped,
and of overloads the first documented one stays, so a name has one answer.

    python3 facts.py /usr/share/dotnet/packs
"""

import argparse
import collections
import glob
import gzip
import json
import os
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

TYPE, METHOD, PROPERTY = "T", "M", "P"

KEYWORDS = {
    "System.String": "string",
    "System.Int32": "int",
    "System.Int64": "long",
    "System.Boolean": "bool",
    "System.Object": "object",
    "System.Char": "char",
    "System.Double": "double",
    "System.Single": "float",
    "System.Byte": "byte",
}

# Beside the types directly in System and their members.
NAMESPACES = (
    "System.Collections.", "System.IO.", "System.Linq.", "System.Text.", "System.Threading.", "System.Net.Http.",
    "System.Diagnostics.", "System.Globalization.", "System.Numerics.", "System.Buffers.", "System.Net.",
)

# A name that contains one of these is left out: rarely asked for, numerous, or not callable by that name.
EXCLUDED = (
    "Intrinsics", "Reflection.Emit", "Windows", "ComponentModel", "CodeDom", "Xml", "Expressions", "Tracing", "Contracts",
    "Security", "Permissions", "Serialization", "Drawing", "VisualBasic", "System#", "Marshalling", "op_", "Explicit",
)

SUMMARY_LENGTH = range(25, 221)
MAX_PARAMETERS = 4


def without_signature(name: str) -> str:
    """The name without its parameter list and its generic arity."""
    return re.sub(r"`+\d+", "", re.sub(r"\(.*", "", name))


def short_reference(cref: str) -> str:
    """What a reader calls the target of a `cref`: a C# keyword or the last part of the name."""
    name = without_signature(re.sub(r"^[A-Z!]:", "", cref))
    return KEYWORDS.get(name) or name.split(".")[-1]


def plain_text(element: ElementTree.Element) -> str:
    """The text of a documentation element, with references replaced by names and white space collapsed."""
    parts = [element.text or ""]
    for child in element:
        if child.tag in ("see", "seealso"):
            target = child.get("langword") or child.get("href") or short_reference(child.get("cref") or "")
            parts.append(child.text or target)
        elif child.tag in ("paramref", "typeparamref"):
            parts.append(child.get("name") or "")
        else:
            parts.append(plain_text(child))
        parts.append(child.tail or "")
    return re.sub(r"\s+", " ", "".join(parts)).strip()


def is_common(kind: str, full_name: str) -> bool:
    """Whether the member belongs to the APIs the model is taught."""
    if not full_name.startswith("System.") or full_name.endswith(".new"):
        return False
    depth_in_system = 1 if kind == TYPE else 2
    return full_name.count(".") == depth_in_system or full_name.startswith(NAMESPACES)


def fact(member: ElementTree.Element) -> dict | None:
    """The fact of one `<member>` of a documentation file, or None if it is not worth teaching."""
    identifier, summary = member.get("name"), member.find("summary")
    kind, name = identifier[0], identifier[2:]
    if summary is None or kind not in (TYPE, METHOD, PROPERTY) or any(part in name for part in EXCLUDED):
        return None
    full_name = without_signature(name).replace("#ctor", "new").replace("#cctor", "")
    if not is_common(kind, full_name):
        return None
    text = plain_text(summary)
    first_sentence = re.split(r"(?<=\.)\s", text)[0]
    if len(text) not in SUMMARY_LENGTH or not first_sentence.endswith("."):
        return None
    returns = member.find("returns")
    return {
        "k": kind,
        "name": ".".join(full_name.split(".")[-(1 if kind == TYPE else 2):]),
        "full": full_name,
        "summary": first_sentence,
        "returns": plain_text(returns) if returns is not None else "",
        "params": [(p.get("name"), plain_text(p)) for p in member.findall("param")][:MAX_PARAMETERS],
    }


def documentation_files(packs: str) -> list[str]:
    """The net10.0 documentation files under `packs`, one for each assembly name."""
    files: dict[str, str] = {}
    for path in sorted(glob.glob(packs + "/*Ref/*/ref/net10.0/*.xml")):
        files.setdefault(os.path.basename(path), path)
    return list(files.values())


def collect(packs: str) -> list[dict]:
    """All facts with an unambiguous short name, in the order of the documentation."""
    facts: dict[str, dict] = {}
    for path in documentation_files(packs):
        try:
            tree = ElementTree.parse(path)
        except ElementTree.ParseError as error:
            print(f"skipped {path}: {error}")
            continue
        for member in tree.iter("member"):
            found = fact(member)
            if found is not None:
                facts.setdefault(found["full"], found)
    occurrences = collections.Counter(f["name"] for f in facts.values())
    return [f for f in facts.values() if occurrences[f["name"]] == 1]


def main() -> None:
    parser = argparse.ArgumentParser(description="Collect API facts from the documentation of a .NET 10 SDK.")
    parser.add_argument("packs", help="the 'packs' folder of a .NET 10 SDK")
    parser.add_argument("--out", type=Path, default="facts.json.gz", help="file to write (default: %(default)s)")
    options = parser.parse_args()
    facts = collect(options.packs)
    # No time stamp in the archive: the same documentation gives the same file.
    options.out.write_bytes(gzip.compress(json.dumps(facts).encode(), mtime=0))
    kinds = collections.Counter(f["k"] for f in facts)
    print(f"{len(facts)} facts: {kinds[TYPE]} types, {kinds[METHOD]} methods, {kinds[PROPERTY]} properties")


if __name__ == "__main__":
    main()
