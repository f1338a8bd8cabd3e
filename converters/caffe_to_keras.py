"""Caffe weights for Keras:  python converters/caffe_to_keras.py --prototxt P --caffemodel M --out W.weights.h5"""

import sys
from pathlib import Path

if not __package__:  # started as a file: use the root of the repository, as `python -m converters.caffe_to_keras` would
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from converters.cli import caffe_to_keras as main

if __name__ == "__main__":
    sys.exit(main())
