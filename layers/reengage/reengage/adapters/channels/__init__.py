"""The providers that deliver: one module each, all behind ``ports.Channel``."""
