#!/usr/bin/env python3
"""Adds up ctest's JUnit files and prints one line: N passed, N failed, N skipped. Exit status 1 if anything failed, or
a file is missing: its tests never ran.

  test_summary.py FILE…
"""
import sys
import xml.etree.ElementTree as xml

passed = failed = skipped = 0
for name in sys.argv[1:]:
    try:
        cases = list(xml.parse(name).getroot().iter("testcase"))
    except (OSError, xml.ParseError) as e:
        print(f"test_summary: {name}: {e}", file=sys.stderr)
        failed += 1
        continue
    for case in cases:
        if case.get("status") == "run" and case.find("failure") is None:
            passed += 1
        elif case.get("status") in ("notrun", "disabled") and case.find("failure") is None:
            skipped += 1
        else:
            failed += 1
print(f"{passed} passed, {failed} failed, {skipped} skipped")
sys.exit(1 if failed else 0)
