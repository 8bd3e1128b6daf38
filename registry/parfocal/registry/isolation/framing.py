"""How questions and answers follow each other in a pipe. Knows nothing of their content."""

import struct

# Of a question: its bytes, and the seconds of processor time and the bytes of memory that it may take.
QUESTION = struct.Struct("<QQQ")
# Of an answer: its bytes.
ANSWER = struct.Struct("<Q")

# How a process ends that ran out of its memory.
OUTGROWN = 77
