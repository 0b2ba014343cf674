"""The code blocks of a Markdown page, and what is to be done with each.

Blocks of a page are run from the first to the last, in one folder and one Python namespace. A comment on
the line before a block says otherwise:

    <!-- slow: 40 s -->                run by docs/outputs.py alone; the tests parse it
    <!-- needs: a GPU -->              parsed, and never run

A Python block with a title, ``python title="mine.py"``, is a file of that name. Output is in ``text``
blocks, which docs/outputs.py fills through a line ``--8<-- "PAGE/NAME.txt"``; it is that of the commands
before it.
"""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

FENCE = re.compile(
    r'(?:^<!-- (?P<mark>slow|needs): (?P<reason>[^\n]+) -->\n)?'
    r'^```(?P<language>\w*)(?: title="(?P<title>[^"]+)")?\n(?P<code>.*?)^```$',
    re.MULTILINE | re.DOTALL,
)  # fmt: skip
SNIPPET = re.compile(r'^--8<-- "(?P<name>[^":]+)(?::[-\d]*:?[-\d]*)?"$', re.MULTILINE)
STATUS = re.compile(r"#.*\bexit status (\d+)")


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Attributes:
        language: sh, python or text.
        code: what is in it.
        mark: ``slow``, ``needs``, or None if it is run.
        title: the file that it is, if it is one.
        line: where in the page.
    """

    language: str
    code: str
    mark: str | None
    title: str | None
    line: int

    @property
    def snippet(self) -> str | None:
        """The file of output that it shows."""
        found = SNIPPET.search(self.code) if self.language == "text" else None
        return found and found["name"]

    @property
    def commands(self) -> list["ShellCommand"]:
        """The commands of a block of sh."""
        lines = self.code.replace("\\\n", " ").splitlines()
        return [
            ShellCommand.of(line) for line in lines if line.strip() and not line.startswith("#")
        ]


@dataclass(frozen=True)
class ShellCommand:
    """A line of sh: words, the file that its output goes to, and the exit status that the page tells of."""

    words: tuple[str, ...]
    into: str | None
    status: int

    @classmethod
    def of(cls, line: str) -> "ShellCommand":
        """The command in a line; its comment may tell an exit status."""
        words = shlex.split(line, comments=True)
        into = words[words.index(">") + 1] if ">" in words else None
        status = STATUS.search(line)
        return cls(
            tuple(words[: words.index(">")] if into else words),
            into,
            int(status[1]) if status else 0,
        )


def blocks(page: Path) -> list[Block]:
    """The blocks of a page, in order."""
    text = page.read_text()
    return [
        Block(
            found["language"], found["code"], found["mark"], found["title"],
            text[: found.start("language")].count("\n") + 1,
        )
        for found in FENCE.finditer(text)
    ]  # fmt: skip
