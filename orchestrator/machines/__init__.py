"""The machines that work is done on: Ray, and which code each of them runs."""
