"""What an experiment is: its file, who takes part, folds, jobs with ids, searches."""
