"""Pretraining steps on any number of workers, and checkpoints that another number of workers can load."""
