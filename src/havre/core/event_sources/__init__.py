"""What an event source mapping decides: what a function's answer says of a batch, what is tried again, where to go on.

Pure: the pollers (services/lambda_/sources) do what is decided here.
"""
