"""The life of one request, in order, on one page (``app.py``): route, sigv4, parse, authorize, quota, dispatch, audit.

The rule of this package: nothing of the body is read as data before it is known who sent it. Whatever happens, the
caller gets a modelled answer with a request id, and what went wrong inside stays inside.
"""
