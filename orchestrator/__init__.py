"""Experiments on a Ray cluster: the only package that knows the others, Ray and MLflow.

The map of the house, in the order in which an experiment passes through it; each knows those before it only:

``score``       numbers only: metrics, selection rules, intervals, validation scores
``machines``    starting and joining Ray, what it has, which code its machines run
``precompute``  features that the store lacks, by Ray actors
``experiment``  the file, what it comes to on a store, folds, whom a search may see, jobs with ids
``output``      what lies in an output folder: ledger, histories of searches, weights; capsules
``search``      which configuration comes next, when one is stopped, what is chosen
``sweep``       one Ray Tune run: queue, trial, the dispatcher that commits results
``report``      the ledger joined with labels: leaderboard, tables, MLflow, capsules verified
``run``, ``cli`` the whole job, and the `mer` command
"""
