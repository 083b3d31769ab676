"""Run stories under faults: a seed makes a story and its faults, and the real use cases run it.

A judge with a small model of the guarantees looks for what is wrong.
"""
