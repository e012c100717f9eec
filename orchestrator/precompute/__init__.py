"""Features that the store lacks, computed by Ray actors."""
