"""AWS's protocols, driven by the models that botocore ships.

The rule of this package: bytes in, plain values out, and back; it knows no service beyond its model (what a service
spells differently from its model is a line in ``dialects.py``), and never imports botocore: it reads its JSON files.

``models`` the models, lazily · ``routing`` which operation · ``codec`` parse, render, render_error · ``tokens``
pagination tokens · ``eventstream`` framed events.
"""
