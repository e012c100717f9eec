"""The one-way mirror of results in MLflow, written by drivers only: the ledger makes it anew at any time."""
