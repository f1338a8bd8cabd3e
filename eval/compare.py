"""Compare runs of one protocol with each other and with the paper:  python eval/compare.py RUN RUN"""

import sys
from pathlib import Path

if not __package__:  # started as a file: use the root of the repository, as `python -m eval.compare` would
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from eval.comparing import main

if __name__ == "__main__":
    sys.exit(main())
