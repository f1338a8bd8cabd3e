"""The networks in PyTorch."""

from pytorch_impl.net import load as load
