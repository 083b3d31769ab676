"""One module a job. A use case reads no clock, no chance and no environment: its ports bring them in."""
