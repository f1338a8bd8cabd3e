"""Weights from any readable file to any target:  python converters/convert.py SOURCE --out TARGET"""

import sys
from pathlib import Path

if not __package__:  # started as a file: use the root of the repository, as `python -m converters.convert` would
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from converters.cli import convert as main

if __name__ == "__main__":
    sys.exit(main())
