"""Configuration: what every tile and switch is set to, as words, and back to the netlist they say."""
