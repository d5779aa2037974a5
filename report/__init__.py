"""Draws the marts; computes nothing."""
