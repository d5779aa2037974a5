"""What is at the source: the export's days and files. Nothing is ever written there."""
