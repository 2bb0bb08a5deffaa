"""mm_pricing: book and trades -> fair value, drift, volatility."""
