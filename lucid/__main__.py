"""`python -m lucid ulp [--step N] [function ...]`: the largest errors of elementary functions, as a table."""

from __future__ import annotations

import argparse

from .ulp import functions, table


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m lucid", description="lucid looks at itself.")
    commands = parser.add_subparsers(dest="command", required=True)
    ulp = commands.add_parser("ulp", help="measure elementary functions at all float32, against float64")
    ulp.add_argument("function", nargs="*", metavar="function", help="by default all of them")
    ulp.add_argument("--step", type=int, default=1, help="every so many of the 2**32 numbers only")
    chosen = parser.parse_args(arguments)
    unknown = set(chosen.function) - set(functions())
    if unknown:
        parser.error(f"expected functions of {', '.join(functions())}; not {', '.join(sorted(unknown))}")
    for row in table(chosen.function or functions(), chosen.step):
        print(row, flush=True)


if __name__ == "__main__":
    main()
