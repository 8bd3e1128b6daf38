"""How products are cut for the kernels in product.cu, and how deep their rings are."""

from parfocal.engine.backends.cuda.nvrtc import Target

# As layout.cuh has them.
OUTPUTS = 128
THREADS = 256
TABLE_BYTES = 32 << 10
_WEIGHT_BYTES = 2 * OUTPUTS * (32 + 4)
_ROW_BYTES = 2 * 64 * 2

ROW_TILES = (8, 16, 32, 64)
# About two for each multiprocessor of an H100, which has 132: as many as run at once.
PROGRAMS = 256
# The fewest blocks of 64 inputs that are worth a part of their own.
_LEAST_BLOCKS = 4
# More hides no more of the memory's delay.
_MOST_STAGES = 6
# What the system takes for each program.
_RESERVED_BYTES = 1 << 10


def row_tile(rows: int) -> int:
    """How many rows a program takes: the order in which a row's products are added is the same in all."""
    return next((tile for tile in ROW_TILES if tile >= rows), ROW_TILES[-1])


def share_of(outputs: int, blocks: int, programs: int = PROGRAMS) -> int:
    """The blocks of 64 inputs of a part, an even number, so that there are about so many programs.

    By the weight's sizes alone, never by the rows.
    """
    parts = max(1, min(blocks // _LEAST_BLOCKS, round(programs / -(-outputs // OUTPUTS))))
    share = -(-blocks // parts)
    return share + share % 2


def stage_bytes(rows: int) -> int:
    """The shared memory of a stage: two blocks' codes, scales and inputs."""
    return _WEIGHT_BYTES + rows * _ROW_BYTES


def shared_bytes(rows: int, stages: int) -> int:
    """The shared memory of a program."""
    return TABLE_BYTES + stages * stage_bytes(rows)


def stages_for(rows: int, target: Target) -> int:
    """How deep the ring of stages is: so that two programs share a multiprocessor, or else for one.

    Raises RuntimeError if there is no room for two stages.
    """
    for programs in (2, 1):
        room = target.shared_bytes // programs - _RESERVED_BYTES
        stages = (room - TABLE_BYTES) // stage_bytes(rows)
        if stages >= 2:
            return min(_MOST_STAGES, stages)
    raise RuntimeError(
        f"{rows} rows take {shared_bytes(rows, 2)} bytes of shared memory, and a program has at most {room} "
        "on this card"
    )
