"""The networks in PyTorch."""

import os

# How often a thread looks whether the others are done before it sleeps; read when PyTorch is imported.  libgomp's own
# 300,000 make a forward pass ten times slower where other work wants the cores; none at all costs 5 % where none does.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")

from pytorch_impl.net import load as load
