"""Arrays in, logits out: networks, baselines, training and complexity.

This package knows nothing of datasets, files, Ray or MLflow.
"""
