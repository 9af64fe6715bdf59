"""What is wrong with the exchange just now: set by the faults, obeyed by the portal. Changed only in the portal's thread."""

from dataclasses import dataclass, field


@dataclass(kw_only=True, slots=True)
class Conditions:
    """All false and empty on a good day."""

    #: HTTP status that new connections and REST are answered with; 0 for none.
    refuse_status: int = 0
    #: No trading, so no pushes; everything else works.
    silent: bool = False
    #: Nothing is answered and nothing sent; trading goes on, and its pushes are lost.
    deaf: bool = False
    #: Topics refused although they exist.
    invalid_topics: set[str] = field(default_factory=set)
