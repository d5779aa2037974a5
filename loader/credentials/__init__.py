"""Keys and tokens for the stores: found, renewed before they expire, and never printed."""
