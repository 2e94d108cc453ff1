"""Evaluation protocols as data: what has to be equal for two tables to be comparable."""

from facemask_inpaint.benchmark.protocols.export import export_masks, verify_masks
from facemask_inpaint.benchmark.protocols.files import protocol_text, read_protocol
from facemask_inpaint.benchmark.protocols.published import find_protocol, list_protocols
from facemask_inpaint.benchmark.protocols.records import Protocol

__all__ = [
    "Protocol",
    "export_masks",
    "find_protocol",
    "list_protocols",
    "protocol_text",
    "read_protocol",
    "verify_masks",
]
