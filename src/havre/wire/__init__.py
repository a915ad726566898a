"""AWS's protocols, driven by the models that botocore ships.

The rule of this package: bytes in, plain values out, and back; it knows no service beyond its model, and never imports
botocore: it reads its JSON files.
"""
