"""Pictures as SVG text: pure functions from facts to markup. What they look like is in the page's style sheet."""
