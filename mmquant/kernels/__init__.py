"""Compiled free functions, a file a stage: arrays in, arrays out, no objects."""
