"""Files of adapters on the wire: sent in pieces, received and verified, never waited for in silence."""

from parfocal.client.transfer.download import file_pieces, receive_files
from parfocal.client.transfer.folder import folder_sources
from parfocal.client.transfer.silence import never_silent
from parfocal.client.transfer.upload import Progress, Source, announced_header, upload_parts

__all__ = [
    "Progress",
    "Source",
    "announced_header",
    "file_pieces",
    "folder_sources",
    "never_silent",
    "receive_files",
    "upload_parts",
]
