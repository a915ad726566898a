"""The life of one request, in order, on one page (``app.py``): route, sigv4, parse, authorize, quota, dispatch, audit.

The rule of this package: before it is known who sent it, nothing of the body is read but the Action of a form, which says
what the request means. Whatever happens, the
caller gets a modelled answer with a request id, and what went wrong inside stays inside.
"""
