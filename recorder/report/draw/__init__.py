"""Pictures as SVG text: pure functions from values to markup. The style sheet of the page says how they look."""
