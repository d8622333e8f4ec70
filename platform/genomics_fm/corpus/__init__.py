"""Genomes as checked Arrow blocks: windows, blocks, manifest, and reading them back."""
