"""Prints the command of README.md that is asked for: `python .ci/readme.py demo|tests`.

README opens with two fenced `bash` blocks, the demo's and the tests'. CI runs their very text, so
what a reader copies is what was tested.
"""

import re
import sys
from pathlib import Path

README = Path(__file__).resolve().parent.parent / "README.md"
NAMES = ("demo", "tests")


def commands(text: str) -> dict[str, str]:
    """The first two `bash` blocks of a Markdown text, by name."""
    blocks = re.findall(r"^```bash\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)
    if len(blocks) < len(NAMES):
        raise ValueError(f"README.md must open with {len(NAMES)} bash blocks; found {len(blocks)}.")
    return {name: block.strip() for name, block in zip(NAMES, blocks, strict=False)}


if __name__ == "__main__":
    sys.stdout.write(commands(README.read_text(encoding="utf-8"))[sys.argv[1]] + "\n")
