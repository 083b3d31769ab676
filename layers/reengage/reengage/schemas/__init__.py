"""The machine-readable contract: JSON Schemas of the events, AsyncAPI, and the tables of ``events/README.md``.

``python -m reengage.schemas`` (``make schemas``) writes them all from the types of the code. Nothing here runs on
Lambda.
"""
