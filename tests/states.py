"""What tests expect of status documents."""


def counts(**changes: int) -> dict[str, int]:
    """The job counts of a status document, zero where not given."""
    names = ("done", "running", "missing", "failed", "rejected", "avoided", "stale")
    return dict.fromkeys(names, 0) | changes
