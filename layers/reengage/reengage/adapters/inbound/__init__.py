"""Parsers of events and providers' calls, one module each. Invalid input is rejected with the field."""
