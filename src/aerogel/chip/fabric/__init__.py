"""The fabric as data: its grid of tiles, memories, interconnect, clock; a file describes one."""
