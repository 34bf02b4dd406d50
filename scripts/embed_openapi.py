#!/usr/bin/env python3
"""Writes a C++ file that holds docs/openapi.yaml and the same document as JSON: embed_openapi.py IN.yaml OUT.cpp"""
import json
import sys

try:
    import yaml
except ImportError:
    sys.exit("scripts/embed_openapi.py needs PyYAML: apt-get install python3-yaml")

TEMPLATE = """// Made by scripts/embed_openapi.py from docs/openapi.yaml.
#include "api/openapi.hpp"

#pragma clang diagnostic ignored "-Woverlength-strings"

namespace scheduler::api {{

std::string_view openapi_as_yaml() {{ return {yaml}; }}
std::string_view openapi_as_json() {{ return {json}; }}

}}  // namespace scheduler::api
"""


def literal(text):
    """Raw string literals of at most some 10 kB each; the compiler joins neighbours."""
    assert ')openapi"' not in text
    step = 10_000
    return "\n".join(f'R"openapi({text[i:i + step]})openapi"' for i in range(0, len(text), step))


def main():
    source, target = sys.argv[1:]
    with open(source, encoding="utf-8") as file:
        text = file.read()
    document = yaml.safe_load(text)
    as_json = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
    with open(target, "w", encoding="utf-8") as file:
        file.write(TEMPLATE.format(yaml=literal(text), json=literal(as_json)))


if __name__ == "__main__":
    main()
