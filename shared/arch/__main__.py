"""Parameters and multiply-adds of every network: `python -m shared.arch`."""

import argparse
import sys
from dataclasses import replace

from shared.arch import catalogue
from shared.arch.count import Count, count
from shared.command import command, parsed_size
from shared.errors import UserError

_ROW = "{:<20} {:>9} {:>12} {:>9} {:>9} {:>14} {:>16}"
_TITLES = ("model", "input", "parameters", "GMAC", "GiMAC", "published rule:", "GiMAC")


def _line(name: str, found: Count) -> str:
    return _ROW.format(
        name,
        "x".join(map(str, found.size)),
        f"{found.parameters:,}",
        f"{found.multiply_adds / 1e9:.4f}",
        f"{found.multiply_adds / 2**30:.4f}",
        f"{found.published_parameters:,}",
        f"{found.published_multiply_adds / 2**30:.4f}",
    )


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(
        prog="python -m shared.arch",
        description=__doc__,
        epilog="GMAC: multiply-adds of convolutions in 10^9; GiMAC: in 2^30.  The published rule leaves layer norms "
        "and slopes out, and counts a transposed convolution by its output cells, four times what it computes.",
    )
    p.add_argument("--model", help="one model; default: all")
    p.add_argument("--size", metavar="HxW", help="of the input; default: the model's own, 368x368 for whole images")
    p.add_argument("--skeleton", help="of a network for one person: coco17 (default) or mpii16")
    return p


@command(parser)
def main(options: argparse.Namespace) -> int:
    size = parsed_size(options.size)
    specs = [catalogue.spec(options.model)] if options.model else list(catalogue.SPECS.values())
    if options.skeleton:
        if options.model and not catalogue.top_down(specs[0]):
            raise UserError(f"--skeleton {options.skeleton}: {options.model} has its own; leave it out")
        specs = [replace(spec, skeleton=options.skeleton) if catalogue.top_down(spec) else spec for spec in specs]
    lines = [_line(spec.name, count(spec, size)) for spec in specs]
    print("\n".join([_ROW.format(*_TITLES), *lines]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
