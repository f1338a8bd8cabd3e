"""Caffe weights for PyTorch:  python converters/caffe_to_torch.py --prototxt P --caffemodel M --out W.safetensors"""

import sys
from pathlib import Path

if not __package__:  # started as a file: use the root of the repository, as `python -m converters.caffe_to_torch` would
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from converters.cli import caffe_to_torch as main

if __name__ == "__main__":
    sys.exit(main())
