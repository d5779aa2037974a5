"""Lands Optimizely's Enriched Events Export in a warehouse."""
