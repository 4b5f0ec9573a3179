"""Where a model's zeros are, where they could be, and whether they would pay on this CPU."""
