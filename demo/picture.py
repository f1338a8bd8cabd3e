"""Draw what a network sees in a picture:  python demo/picture.py IMAGE --framework torch"""

import sys
from pathlib import Path

if not __package__:  # started as a file: use the root of the repository, as `python -m demo.picture` would
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from demo.pictures import main

if __name__ == "__main__":
    sys.exit(main())
