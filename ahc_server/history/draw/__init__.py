"""The answers as text. What is drawn here was decided before."""

from __future__ import annotations

import shutil
import sys

import msgspec

#: Width of text that goes to a pipe or a file, and the least of a terminal.
PIPE_WIDTH, _LEAST_WIDTH = 120, 60


def text_width() -> int:
    """Characters a line: the terminal's, or a fixed number where the output is none."""
    if not sys.stdout.isatty():
        return PIPE_WIDTH
    return max(shutil.get_terminal_size((PIPE_WIDTH, 24)).columns, _LEAST_WIDTH)


def json_text(answer: msgspec.Struct) -> str:
    """Indented JSON with a final newline; the same answer gives the same bytes."""
    return msgspec.json.format(msgspec.json.encode(answer), indent=2).decode() + "\n"
