"""What lies in an output folder: results, the histories of searches, weights."""
