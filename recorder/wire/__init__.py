"""The far end of the wire: a server that clients take for an exchange, whatever stands behind it.

It brings an event loop and a web server along, so only what serves imports it.
"""
