"""What a pull costs, beside the same work done barely, in one run."""
