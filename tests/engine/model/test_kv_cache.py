"""What is written to blocks is read from them, in the order of the request and not of the memory."""

import torch

from parfocal.engine.model import KvCache, KvShape
from parfocal.engine.scheduling import token_places

SHAPE = KvShape(layers=2, heads=2, head_dim=3, dtype=torch.float32)


def new_cache() -> KvCache:
    return KvCache(SHAPE, blocks=5, block_tokens=4, device=torch.device("cpu"))


def test_a_layer_reads_back_what_was_written_to_it_and_no_other_does() -> None:
    cache = new_cache()
    every = torch.tensor([[0, 1, 2, 3, 4]])
    cache.clear(every[0])
    key, value = torch.randn(6, 2, 3), torch.randn(6, 2, 3)
    cache.write(1, torch.tensor(token_places([3, 0], 1, 7, 4)), key, value)

    keys, values = cache.read(1, torch.tensor([[3, 0], [0, 0]]))

    assert torch.equal(keys[0, 1:7], key)
    assert torch.equal(values[0, 1:7], value)
    assert torch.equal(keys[1, :3], key[3:])
    assert not any(part.any() for part in cache.read(0, every))


def test_cleared_blocks_are_empty_in_every_layer_and_others_are_kept() -> None:
    cache = new_cache()
    for store in (*cache.keys, *cache.values):
        store.fill_(torch.nan)
    cache.clear(torch.tensor([1, 4]))

    for store in (*cache.keys, *cache.values):
        assert store[[1, 4]].eq(0.0).all()
        assert store[[0, 2, 3]].isnan().all()


def test_a_token_takes_its_keys_and_values_of_all_layers() -> None:
    cache = new_cache()
    held = sum(store.nbytes for store in (*cache.keys, *cache.values))

    assert SHAPE.token_bytes * 5 * 4 == held
