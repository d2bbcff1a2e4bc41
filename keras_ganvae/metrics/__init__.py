"""Metrics of samples and likelihoods, each with its standard error."""
