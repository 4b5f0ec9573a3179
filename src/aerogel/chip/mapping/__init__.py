"""Cells onto tiles, channels onto tracks: where everything is on the fabric, and so how long tokens take."""
