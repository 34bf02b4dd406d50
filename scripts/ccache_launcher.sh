#!/usr/bin/env bash
# Compiler launcher of every preset: ccache where it is installed, told that our precompiled header is safe to cache.
# SCHEDULER_COMPILE_WRAPPER, when set, names a program that runs the compiler (e.g. to limit how many run at once).
export CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime
if command -v ccache >/dev/null; then set -- ccache "$@"; fi
exec ${SCHEDULER_COMPILE_WRAPPER:-} "$@"
