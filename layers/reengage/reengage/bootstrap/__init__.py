"""The composition roots: a module for each group of functions, which builds what that group needs.

A class builds each adapter when it is first needed, and once for each execution environment. Use cases, and adapters
that only some calls need, are imported by the method that needs them. A cold start pays for nothing else.
"""
