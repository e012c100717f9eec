"""Datasets and features on disk or in object storage."""
