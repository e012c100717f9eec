"""A network per file: the network first, its card beside it."""
