#!/usr/bin/env bash
# Broken links are named with page and line; good ones, code and outside addresses are left alone.
set -euo pipefail
root=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../.." && pwd)
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
check() { "$root/scripts/check_doc_links.py" --root "$tree" 2>&1; }

mkdir "$tree/docs"
cat >"$tree/docs/a.md" <<'PAGE'
# One heading: with `code`
[here](#one-heading-with-code) [there](../b.md#two) [outside](https://example.com/nowhere) [folder](../docs)
`[code](nowhere.md)`
```
[code](nowhere.md)
```
PAGE
echo '## Two' >"$tree/b.md"
check >/dev/null || { echo "false alarm:"; check; exit 1; }

printf '\n\n[x](nowhere.md)\n[y](a.md#nowhere)\n' >"$tree/docs/c.md"
said=$(check) && { echo "broken links were not caught"; exit 1; }
grep -qF 'docs/c.md:3: there is no nowhere.md' <<<"$said" || { echo "file not caught: $said"; exit 1; }
grep -qF 'docs/c.md:4: a.md has no heading #nowhere' <<<"$said" || { echo "anchor not caught: $said"; exit 1; }
echo "broken links are caught"
