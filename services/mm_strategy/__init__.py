"""mm_strategy: fair value, volatility and position -> the quotes wanted now, or why none."""
