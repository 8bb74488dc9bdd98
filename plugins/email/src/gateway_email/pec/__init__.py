"""Registered mail of Italy: PEC, posta elettronica certificata (RFC 6109).

A provider wraps what people write in a signed *envelope*, and says what became of what
we write in signed *receipts*. Nothing of either is believed before its signature.
"""
