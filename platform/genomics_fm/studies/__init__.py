"""Experiments made of many runs: which runs they take, and what may be said of them together."""
