"""transformers classes of this package."""
