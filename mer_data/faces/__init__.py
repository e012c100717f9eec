"""Faces in pictures: where they are, their five points, and how frames are aligned by them."""
