"""Experiments on a Ray cluster: the only package that knows the others, Ray and MLflow."""
