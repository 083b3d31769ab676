"""The ports' implementations: tables, buses, channels, wording, and the forms in which the outside speaks."""
