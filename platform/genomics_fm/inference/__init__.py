"""From a saved head folder to predictions: load, check, score sequences and files."""
