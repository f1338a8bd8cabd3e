"""Weights in from every published file, and out again: no framework is imported here."""
