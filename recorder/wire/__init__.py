"""The server behind a stand-in exchange: HTTP and WebSocket on one port, for the simulator and for served records.

It loads an event loop and a web server, so import it only to serve.
"""
