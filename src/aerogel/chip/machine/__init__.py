"""What configuration words say, as a netlist of cells and channels, and its cycle-by-cycle run."""
