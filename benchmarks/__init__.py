"""What pulls and builds cost, beside the same work done barely, in one run."""
