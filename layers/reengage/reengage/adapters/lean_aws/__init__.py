"""A client of AWS's JSON services with a third of the CPU of botocore's, and a tenth of its import.

It is used on Lambda with its usual settings. For anything else, ``aws_clients`` makes botocore's own client. Examples
are a proxy, a profile and traces. Both clients have the same names and raise the same exceptions.
"""
