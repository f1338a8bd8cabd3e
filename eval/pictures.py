"""Draw the people that a run found beside the annotated ones:  python eval/pictures.py RUN"""

import sys
from pathlib import Path

if not __package__:  # started as a file: use the root of the repository, as `python -m eval.pictures` would
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from eval.picturing import main

if __name__ == "__main__":
    sys.exit(main())
