"""Measure what things cost. Run these by hand; no test asserts the figures."""
