"""Evaluate a pose network and print its AP:  python eval/run.py --framework torch"""

import sys
from pathlib import Path

if not __package__:  # started as a file: use the root of the repository, as `python -m eval.run` would
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from eval.cli import main

if __name__ == "__main__":
    sys.exit(main())
