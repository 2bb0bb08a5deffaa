"""Figures, each with the command that measures it."""
