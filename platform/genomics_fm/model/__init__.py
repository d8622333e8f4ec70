"""The published encoder, its heads, and weights in and out."""

from genomics_fm.model.published import from_published

__all__ = ["from_published"]
