"""Genomics-FM: DNA foundation models with an ensemble vocabulary."""

__version__ = "0.1.0"
