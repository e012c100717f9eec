"""Clips in, arrays out: clip tables, class schemes, protocols, features and the Arrow store.

This package reads datasets and feature files. It knows nothing of networks, Ray or MLflow.
"""
