"""Reengage: reach back out to a person within 30 days of their last message, for a reason.

Imports point inward: ``domain`` (pure rules) ← ``ports`` ← ``usecases`` (one module a job)
← ``adapters`` and ``bootstrap`` ← ``functions/<name>/app.py`` (the handlers).
"""
