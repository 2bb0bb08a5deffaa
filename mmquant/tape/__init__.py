"""recorded market data on disk -> arrays: events and their levels, whatever format it came in."""

from mmquant.tape.capture import CaptureInfo, CaptureReader, read_capture, scan_capture
from mmquant.tape.core import ReadNotes, Tape, TapeInstrument
from mmquant.tape.errors import CaptureError, TapeError
from mmquant.tape.read import read_tape
from mmquant.tape.synthetic import synthetic_tape

__all__ = [
    "CaptureError",
    "CaptureInfo",
    "CaptureReader",
    "ReadNotes",
    "Tape",
    "TapeError",
    "TapeInstrument",
    "read_capture",
    "read_tape",
    "scan_capture",
    "synthetic_tape",
]
