"""The program ``reengage``: what a person runs beside a deployed stack, or without one."""
