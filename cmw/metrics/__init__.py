"""Metric keys, histograms that merge, quantiles, the E-model. Pure, standard library only."""
