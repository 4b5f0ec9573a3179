"""Dense mode: a grid of multipliers fed by affine addresses, for the work that has no zeros to leave out."""
