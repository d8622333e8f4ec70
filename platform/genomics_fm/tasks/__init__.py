"""Labelled tasks: rows, splits, label fractions, metrics, baselines."""
