#!/usr/bin/env python3
"""Makes docs/API_COMPLETE.md from docs/openapi.yaml.

  scripts/make_api_docs.py           writes the page
  scripts/make_api_docs.py --check   fails when the page is not what it would write
"""
import json
import pathlib
import sys

try:
    import yaml
except ImportError:
    sys.exit("scripts/make_api_docs.py needs PyYAML: apt-get install python3-yaml")

ROOT = pathlib.Path(__file__).resolve().parent.parent
SOURCE = ROOT / "docs" / "openapi.yaml"
TARGET = ROOT / "docs" / "API_COMPLETE.md"
METHODS = ("get", "post", "put", "patch", "delete")


class Page:
    def __init__(self, document):
        self.document = document
        self.lines = []

    def add(self, *lines):
        self.lines.extend(lines)

    def resolve(self, node):
        while "$ref" in node:
            target = self.document
            for step in node["$ref"].removeprefix("#/").split("/"):
                target = target[step]
            node = target
        return node

    def text(self):
        return "\n".join(self.lines).rstrip("\n") + "\n"


def anchor(heading):
    kept = [c for c in heading.lower() if c.isalnum() or c in " -_"]
    return "".join(kept).replace(" ", "-")


def one_line(text):
    return " ".join((text or "").split()).replace("|", "\\|")


def schema_name(node):
    return node.get("$ref", "").rpartition("/")[2]


def type_words(schema):
    """What a field may hold, in a few words; named schemas of objects link to their table."""
    name = schema_name(schema)
    if name in ("Id",):
        return "integer (id)"
    if name == "Instant":
        return "time"
    if name == "MaybeInstant":
        return "time or null"
    if name == "MaybeInteger":
        return "integer or null"
    if name:
        return f"[{name}](#{anchor(name)})"
    if "const" in schema:
        return f"`{json.dumps(schema['const'])}`"
    if "enum" in schema:
        return ", ".join(f"`{word}`" if word is not None else "null" for word in schema["enum"])
    kind = schema.get("type", "any")
    words = " or ".join(kind) if isinstance(kind, list) else kind
    if schema.get("format") == "date-time":
        words = words.replace("string", "time")
    if kind == "array":
        words = f"array of {type_words(schema['items'])}"
    elif kind == "object" and isinstance(schema.get("additionalProperties"), dict):
        words = f"object of {type_words(schema['additionalProperties'])}"
    return words


def limits(schema):
    words = []
    if "maximum" in schema:
        words.append(f"{schema['minimum']}–{schema['maximum']}")
    elif "minimum" in schema:
        words.append(f"from {schema['minimum']}")
    if "minLength" in schema or "maxLength" in schema:
        words.append(f"{schema.get('minLength', 0)}–{schema.get('maxLength', '')} bytes")
    if "maxItems" in schema:
        words.append(f"at most {schema['maxItems']}")
    if "default" in schema:
        words.append(f"default `{json.dumps(schema['default'], ensure_ascii=False)}`")
    return ", ".join(words)


def add_parameters(page, item, operation):
    parameters = [page.resolve(it) for it in item.get("parameters", []) + operation.get("parameters", [])]
    if not parameters:
        return
    page.add("| parameter | in | type | meaning |", "|---|---|---|---|")
    for it in parameters:
        # A named schema's limits are part of the parameter's.
        details = limits(page.resolve(it["schema"]) | it["schema"])
        words = type_words(it["schema"]) + (f", {details}" if details else "")
        page.add(f"| `{it['name']}` | {it['in']} | {words} | {one_line(it.get('description'))} |")
    page.add("")


def add_body(page, operation):
    if "requestBody" not in operation:
        return
    for media_type, media in operation["requestBody"]["content"].items():
        required = "" if operation["requestBody"]["required"] else ", optional"
        page.add(f"Body (`{media_type}`{required}): {type_words(media['schema'])}", "")
        for name, example in media.get("examples", {}).items():
            page.add(f"{example.get('summary', name.capitalize())}:", "", "```json")
            page.add(json.dumps(example["value"], indent=2, ensure_ascii=False), "```", "")


def reply_words(page, response):
    kinds = []
    for media_type, media in response.get("content", {}).items():
        schema = page.resolve(media["schema"])
        data = [part["properties"]["data"] for part in schema.get("allOf", []) if "data" in part.get("properties", {})]
        if data:
            kinds.append(f"`data`: {type_words(data[0])}")
        elif media_type not in ("application/json", "application/problem+json"):
            kinds.append(f"`{media_type}`")
        elif schema_name(media["schema"]):
            kinds.append(type_words(media["schema"]))
    return "; ".join(kinds)


def add_operation(page, path, method, item, operation):
    page.add(f"### {method.upper()} {path}", "", f"{operation['summary']}. Permission: `{operation['x-permission']}`.", "")
    if "description" in operation:
        page.add(operation["description"].strip(), "")
    add_parameters(page, item, operation)
    add_body(page, operation)
    page.add("| status | meaning | body |", "|---|---|---|")
    for status, response in operation["responses"].items():
        response = page.resolve(response)
        page.add(f"| {status} | {one_line(response['description'])} | {reply_words(page, response)} |")
    page.add("")


def add_schema(page, name, schema):
    page.add(f"### {name}", "")
    if "description" in schema:
        page.add(schema["description"].strip(), "")
    if "properties" not in schema:
        page.add(f"{type_words(schema)}{', ' + limits(schema) if limits(schema) else ''}", "")
        return
    page.add("| field | type | meaning |", "|---|---|---|")
    required = schema.get("required", [])
    for field, of in schema["properties"].items():
        words = [one_line(of.get("description")), limits(of)]
        if field in required and name.endswith("Body"):
            words.insert(0, "Required.")
        meaning = " ".join(word[0].upper() + word[1:] if word[0] != "`" else word for word in words if word)
        page.add(f"| `{field}` | {type_words(of)} | {meaning} |")
    page.add("")


def make(document):
    page = Page(document)
    info = document["info"]
    page.add("<!-- Made by scripts/make_api_docs.py from docs/openapi.yaml. Change that file, then run the script. -->")
    page.add(f"# {info['title']}", "", info["summary"], "", info["description"].strip(), "")
    page.add("## All endpoints", "", "| endpoint | what it does | permission |", "|---|---|---|")
    operations = [
        (path, method, item, item[method])
        for path, item in document["paths"].items()
        for method in METHODS
        if method in item
    ]
    for path, method, _, operation in operations:
        heading = f"{method.upper()} {path}"
        page.add(f"| [`{heading}`](#{anchor(heading)}) | {one_line(operation['summary'])} | {operation['x-permission']} |")
    page.add("")
    for tag in document["tags"]:
        page.add(f"## {tag['name'].capitalize()}", "", tag["description"], "")
        for path, method, item, operation in operations:
            if operation["tags"][0] == tag["name"]:
                add_operation(page, path, method, item, operation)
    page.add("## Shapes", "")
    for name, schema in document["components"]["schemas"].items():
        if "allOf" not in schema and name not in ("Id", "Instant", "MaybeInstant", "MaybeInteger"):
            add_schema(page, name, schema)
    return page.text()


def main():
    if sys.argv[1:] not in ([], ["--check"]):
        sys.exit(__doc__)
    text = make(yaml.safe_load(SOURCE.read_text(encoding="utf-8")))
    if not sys.argv[1:]:
        TARGET.write_text(text, encoding="utf-8")
    elif not TARGET.exists() or TARGET.read_text(encoding="utf-8") != text:
        sys.exit("docs/API_COMPLETE.md is not up to date with docs/openapi.yaml: run scripts/make_api_docs.py")


if __name__ == "__main__":
    main()
