"""What the files are called that a version may carry beside its adapter. Looks into none."""

import re

from parfocal.v1.limits import ATTACHMENT_BYTES, ATTACHMENTS

MOST_ATTACHMENTS = ATTACHMENTS.most
MAX_ATTACHMENT_BYTES = ATTACHMENT_BYTES.most
# What training attaches.
EVALUATION_FILE = "evaluation.json"
REPORT_FILE = "report.html"
DATA_REPORT_FILE = "data_report.json"
RECORDS = (EVALUATION_FILE, REPORT_FILE, DATA_REPORT_FILE)

# Lower case, as some disks do not tell cases apart.
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}\.(json|html|md|txt|csv|png|svg)")
# What PEFT, transformers or Parfocal read, write or look for in such a folder.
_TAKEN = re.compile(
    r"(adapter_|added_tokens|chat_template|manifest|merges|model|parfocal_|preprocessor|processor|readme|"
    r"special_tokens|tokenizer|vocab).*|.*config\.json"
)


def is_attachment(name: str) -> bool:
    """Whether a version may carry a file of this name beside its adapter.

    >>> [is_attachment(each) for each in ("report.html", "tokenizer.json", "adapter_model.json", "A.html")]
    [True, False, False, False]
    """
    return bool(_NAME.fullmatch(name)) and not _TAKEN.fullmatch(name)
