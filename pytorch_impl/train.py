"""Train on the built-in benchmark:  python pytorch_impl/train.py --recipe builtin_small --out runs/small"""

import os
import sys
from pathlib import Path

if not __package__:  # started as a file: use the root of the repository, as `python -m pytorch_impl.train` would
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from shared.training import command_of

main = command_of("torch")

if __name__ == "__main__":
    code = main()
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:  # what Python frees as it ends can wait for Gloo's threads for ever
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)
