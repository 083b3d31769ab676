"""The items of the table: their attributes, their keys, and how they become the domain's values and back."""
