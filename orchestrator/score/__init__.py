"""Scores from stored logits and labels: numbers in, numbers out; no Ray, torch or MLflow."""
