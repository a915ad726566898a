"""What passes over the data channel of a session (Session Manager's protocol): messages, and that each arrives once and in
order. The rule: bytes and times come in, bytes and decisions go out; who has the connection is not known here."""
