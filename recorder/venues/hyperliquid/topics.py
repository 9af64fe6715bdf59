"""The names of Hyperliquid's subscriptions: the type, and the perpetual exchange or symbol that it is limited to."""

from recorder.venues.fields import Fields, inner, required, text


def topic(kind: str, of: str | None = None) -> str:
    """The name of a subscription: `orderUpdates`, `openOrders:xyz`; one of the main exchange has no suffix."""
    return f"{kind}:{of}" if of else kind


def topic_of(command: Fields) -> str:
    """The topic of a subscription as the venue repeats it: `{"method":..., "subscription":{"type":...}}`."""
    subscription = inner(command, "subscription") or command
    kind = required(text(subscription, "type"), "type")
    return topic(kind, text(subscription, "dex") or text(subscription, "coin"))
