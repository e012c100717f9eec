"""Folds as trials of one Ray Tune run: the queue, the trial, the dispatcher that commits results."""
