"""Into storage and out of it again: coordinates to any format, any format to coordinates, one to another.

The loops are Loop IR, written for the formats at hand from what their levels emit, and compiled once.
"""
