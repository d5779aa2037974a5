"""Makes the warehouse hold what the source holds, each day whole or not at all."""
