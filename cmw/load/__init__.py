"""What a test is and how it unfolds: plan, split, arrivals, outcomes, thresholds, verdict, summary, report.

Pure: no clock, no sockets, no files. Standard library and pydantic, on top of cmw.core and cmw.metrics.
"""
