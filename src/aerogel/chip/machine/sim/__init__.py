"""The cycle simulator in machine code: one Loop IR function that runs any netlist, given as tables."""
