"""Reports of a stored run: one HTML file with a table beside it, and contact sheets."""

from vis.reports.labels import read_labels
from vis.reports.sheet import sheets
from vis.reports.writing import report

__all__ = ["read_labels", "report", "sheets"]
