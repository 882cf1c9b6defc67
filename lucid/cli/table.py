"""The commands. Each is the module of that name in this folder, imported when its command is asked for:

    def arguments(parser: argparse.ArgumentParser) -> None: ...    what it takes
    def run(options: argparse.Namespace) -> int: ...               its exit code

Exit codes: 0, all is well; 1, what the command looks for was found (a fault, an entry that is damaged); 2, it
could not be done, and one line on stderr says why (`CommandError`); 130, interrupted.
"""

from __future__ import annotations

COMMANDS = {
    "info": "print what belongs in a bug report: versions, CPU, threads, caches, GPU, variables",
    "cache": "list, prune or verify the disk cache of machine code",
    "run": "run a graph, kernels or loops, given as text, on arrays",
    "opt": "print a graph, kernels or loops, given as text, after the passes that you name",
    "explore": "write one page for a browser: every stage of a compiled function, linked line by line",
    "explain": "say why a function was traced, each time, and why it became these kernels",
    "profile": "time each kernel of a function, beside the least time that this machine could take",
    "dump": "write every stage of a compiled function as files, or print one of them",
    "bench": "time a compiled function beside the same function run without compiling",
    "fuzz": "run random programs, and compare them with NumPy, float64 and themselves",
    "repro": "write a call of a compiled function as a script that runs anywhere; or examine what fuzz wrote",
    "replay": "run a call that lucid.testing.record wrote, and find the first launch with other bits here",
    "ulp": "measure the largest error of each elementary function, over all float32",
}


class CommandError(Exception):
    """What a command was asked for cannot be done; the message is one line."""
