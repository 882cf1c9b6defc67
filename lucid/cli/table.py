"""The commands. Each is the module of that name in this folder, imported when its command is asked for:

    def arguments(parser: argparse.ArgumentParser) -> None: ...    what it takes
    def run(options: argparse.Namespace) -> int: ...               its exit code

Exit codes: 0, all is well; 1, what the command looks for was found (a fault, an entry that is damaged); 2, it
could not be done, and one line on stderr says why (`CommandError`); 130, interrupted.
"""

from __future__ import annotations

COMMANDS = {
    "info": "what one pastes into a bug report: versions, the CPU, threads, the cache, the GPU",
    "cache": "the disk cache of machine code: list, prune, verify",
    "run": "a graph or a kernel as text, applied to arrays of files",
    "opt": "a graph or a kernel as text, after the passes that are asked for",
    "explore": "every stage of a compiled function, linked line by line, as one page for a browser",
    "explain": "why a function was traced, and why it is compiled to these kernels",
    "profile": "the time of each kernel of a function, beside what this machine could do",
    "dump": "every stage of a compiled function as files, or one of them printed",
    "bench": "a compiled function beside the same function as it is written",
    "fuzz": "random programs against NumPy, float64 and themselves",
    "repro": "programs that fuzz has written, examined again",
    "replay": "a call that lucid.testing.record has written: the first launch with other bits here",
    "ulp": "the largest errors of elementary functions, at all float32",
}


class CommandError(Exception):
    """What a command was asked for cannot be done; the message is one line."""
