"""Refuses long files: one idea a file fits on a few screens. `python .ci/lengths.py FILE...`."""

import sys
from pathlib import Path

LIMITS = {"src": 400, "tests": 600}


def too_long(paths: list[str]) -> list[str]:
    """One line for each file over the limit of its folder."""
    found = []
    for path in map(Path, paths):
        lines = len(path.read_text(encoding="utf-8").splitlines())
        limit = LIMITS.get(path.parts[0])
        if limit is not None and lines > limit:
            found.append(
                f"{path}: {lines} lines; at most {limit} under {path.parts[0]}/. Split it."
            )
    return found


if __name__ == "__main__":
    complaints = too_long(sys.argv[1:])
    sys.stdout.write("".join(f"{line}\n" for line in complaints))
    sys.exit(bool(complaints))
