"""A record as files that other programs read, and as data frames.

from recorder.export import to_pandas

with recorder.open("sqlite:///recorder.db") as record:
    fills = to_pandas(record, "fills")
"""

from recorder.export.dataframes import to_arrow, to_batches, to_pandas, to_polars
from recorder.export.exporting import Exported, export

__all__ = ["Exported", "export", "to_arrow", "to_batches", "to_pandas", "to_polars"]
