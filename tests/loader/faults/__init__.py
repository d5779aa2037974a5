"""The fault suite: whatever goes wrong, the next clean pull makes the tables right again."""
