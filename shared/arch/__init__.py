"""Architectures as frozen specs: what layers there are and how large, never how a framework builds them."""
