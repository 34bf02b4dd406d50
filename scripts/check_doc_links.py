#!/usr/bin/env python3
"""Checks that every relative link in the project's Markdown leads to a file, and every #anchor to a heading.

  check_doc_links.py [--root DIR]
"""
import argparse
import pathlib
import re
import sys

SKIPPED = {"build", "data", "node_modules", ".git"}
LINK = re.compile(r"(?<!!)\[[^\]\n]*\]\(<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\)|!\[[^\]\n]*\]\(([^)\s]+)\)")


def prose(text):
    """The text without code, line by line as before."""
    text = re.sub(r"^(```|~~~).*?^\1", lambda m: "\n" * m.group().count("\n"), text, flags=re.M | re.S)
    return re.sub(r"`[^`\n]*`", "", text)


def anchors(path):
    """GitHub's anchors of all headings: lower case, spaces to hyphens, repeated ones numbered."""
    found = set()
    text = re.sub(r"^(```|~~~).*?^\1", "", path.read_text(encoding="utf-8"), flags=re.M | re.S)
    for heading in re.findall(r"^#{1,6}\s+(.+?)\s*#*$", text, re.M):
        slug = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        unique, n = slug, 0
        while unique in found:
            n += 1
            unique = f"{slug}-{n}"
        found.add(unique)
    return found


def main():
    parser = argparse.ArgumentParser(description="Checks relative links in Markdown.")
    parser.add_argument("--root", type=pathlib.Path, default=pathlib.Path(__file__).resolve().parent.parent)
    root = parser.parse_args().root.resolve()
    pages = [p for p in sorted(root.rglob("*.md")) if not SKIPPED & set(p.relative_to(root).parts)]
    links = broken = 0
    for page in pages:
        for number, line in enumerate(prose(page.read_text(encoding="utf-8")).splitlines(), 1):
            for match in LINK.finditer(line):
                target, _, anchor = (match[1] or match[2]).partition("#")
                if re.match(r"[a-z][a-z0-9+.-]*:", target):
                    continue
                links += 1
                aim = (root / target.lstrip("/") if target.startswith("/") else page.parent / target) if target else page
                why = None
                if not aim.exists():
                    why = f"there is no {target}"
                elif anchor and aim.suffix == ".md" and anchor not in anchors(aim):
                    why = f"{target or page.name} has no heading #{anchor}"
                if why:
                    broken += 1
                    print(f"{page.relative_to(root)}:{number}: {why}; remedy: correct the link, or write the page")
    print(f"links: {links} relative links in {len(pages)} pages, {broken} broken", file=sys.stderr)
    sys.exit(1 if broken else 0)


if __name__ == "__main__":
    main()
