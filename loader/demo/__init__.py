"""A synthetic export: a shop's experiments in the vendor's layout, awkward as the real ones."""

from loader.demo.writer import DemoSummary, write_export

__all__ = ["DemoSummary", "write_export"]
