"""A hyper-parameter search: which configuration comes next, when one is stopped, what is chosen."""
