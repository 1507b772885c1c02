"""A stored run for people: one HTML file with a table beside it, and sheets of pictures."""

from vis.reports.labels import read_labels
from vis.reports.sheet import sheets
from vis.reports.writing import report

__all__ = ["read_labels", "report", "sheets"]
