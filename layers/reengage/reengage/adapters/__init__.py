"""The implementations of the ports: tables, buses, channels and texts, and the parsers of what arrives from outside."""
