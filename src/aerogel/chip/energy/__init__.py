"""Energy and area: exact counts of actions times a table in which every entry has its source."""
