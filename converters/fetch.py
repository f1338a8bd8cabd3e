"""Get published weights, whole and with their licence:  python converters/fetch.py openpose-coco"""

import sys
from pathlib import Path

if not __package__:  # started as a file: use the root of the repository, as `python -m converters.fetch` would
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from converters.fetcher import main

if __name__ == "__main__":
    sys.exit(main())
