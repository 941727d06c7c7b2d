"""The side of a contender: takes steps when told to, and says what they cost.

A contender is a process of its own. It reads one JSON object a line, `{"steps": 20}`, takes as many
steps, and answers with `{"cpu": seconds of processor time, "peak": MB, ...}`. Nothing but the
standard library is needed here, so that peers run with their own Python.
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


def serve(
    take: Callable[[int], None], *, weights: Callable[[], dict[str, Any]] | None = None
) -> None:
    """Answers requests until there are no more.

    Args:
        take: Takes a number of steps, and returns when they are done.
        weights: What the model has come to, as lists; sent where a request asks for it.
    """
    answers, sys.stdout = sys.stdout, sys.stderr
    for line in sys.stdin:
        request = json.loads(line)
        began = time.process_time()
        take(request["steps"])
        answer = {"cpu": time.process_time() - began, "peak": peak()}
        if request.get("weights") and weights is not None:
            answer["weights"] = weights()
        print(json.dumps(answer), file=answers, flush=True)


def peak() -> float:
    """The most memory that this process has held, in MB, by Linux's account of its own.

    What `getrusage` says would begin with the memory of the referee, from which it was forked.
    """
    status = Path("/proc/self/status").read_text("ascii")
    (held,) = (line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(held.split()[1]) * 1024 / 1e6
