"""Parquet files, some rows at a time. Needs pyarrow, which training brings."""

import datetime
import decimal
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

from parfocal.registry.values import JSON
from parfocal.training.data.reading.records import Line, Records, fault, note

MAGIC = b"PAR1"
_BATCH_ROWS = 256
_WRITTEN_AS_TEXT = (datetime.date, datetime.time, datetime.timedelta, decimal.Decimal, uuid.UUID)


def read_parquet(file: BinaryIO, path: Path | str, source: str) -> Records:
    """Yields each row as an object, without what is null; its number is the row's, from 1."""
    import pyarrow as arrow
    from pyarrow.parquet import ParquetFile

    try:
        table = ParquetFile(file, memory_map=False, pre_buffer=False)
        yield note("PARQUET", "is a Parquet file; the numbers are its rows", source)
        number = 0
        for batch in table.iter_batches(_BATCH_ROWS):
            for row in batch.to_pylist():
                number += 1
                yield Line(number, _object(row))
    except (arrow.ArrowException, OSError) as error:
        message = f"the Parquet file {path} cannot be read: {_first_line(error)}"
        yield fault("BAD_PARQUET", message, source, None, "download or write it again")


def _object(row: Mapping[str, object]) -> dict[str, JSON]:
    return {name: _json(value) for name, value in row.items() if value is not None}


def _json(value: object) -> JSON:
    """The value as JSON has it; bytes, which no text column holds, as what they are called."""
    if isinstance(value, Mapping):
        return _object(value)
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [_json(item) for item in value]
    if isinstance(value, _WRITTEN_AS_TEXT):
        return str(value)
    if value is None or isinstance(value, str | int | float):
        return value
    return f"<{type(value).__name__}>"


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
