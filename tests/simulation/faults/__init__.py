"""Stories under faults: a seed makes a story and its faults, the real use cases run it, and a judge with a small model
of the guarantees looks for what is wrong.
"""
