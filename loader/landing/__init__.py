"""Makes the warehouse hold what the source holds, one day and one transaction at a time."""
