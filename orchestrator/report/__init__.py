"""The ledger joined with labels: predictions, the leaderboard, tables, MLflow."""
