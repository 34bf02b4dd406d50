#!/usr/bin/env bash
# Checks that the code keeps the house plan: arrows, purity, third-party edges. Fast; prints file, line, rule, remedy.
# The rules are in architecture_check.py beside this file; --root DIR checks another tree.
exec python3 "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/architecture_check.py" "$@"
