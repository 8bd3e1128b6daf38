"""What libraries say that nobody can use is not shown; their real warnings are."""

import logging

import pytest

from parfocal.engine import calm_libraries

CPU_KERNELS = "bitsandbytes.backends.cpu.ops"
LOADING = "transformers.modeling_utils"
# As bitsandbytes 0.50 says it at its import, with what it could not import.
HARMLESS = "Failed to load CPU gemm_4bit_forward from kernels-community: %s. Please make sure you already …"


@pytest.mark.parametrize(
    ("logger", "message", "shown"),
    [
        (CPU_KERNELS, HARMLESS, 0),
        (CPU_KERNELS, "The CPU kernels are broken: %s", 1),
        ("bitsandbytes.cextension", HARMLESS, 1),
        ("transformers", "A real warning: %s", 1),
        (LOADING, "\x1b[1mLlamaForCausalLM LOAD REPORT\x1b[0m from: x\nlm_head.weight | MISSING | %s", 0),
        (LOADING, "Qwen3ForCausalLM LOAD REPORT from: x\nmodel.norm.weight | MISMATCH | %s", 0),
        (LOADING, "LlamaForCausalLM LOAD REPORT from: x\nmodel.norm.weight | CONVERSION | %s", 1),
        (LOADING, "Another warning: LOAD REPORT %s", 1),
    ],
)
def test_only_what_is_known_to_be_harmless_is_hidden(
    caplog: pytest.LogCaptureFixture, logger: str, message: str, shown: int
) -> None:
    calm_libraries()
    calm_libraries()

    logging.getLogger(logger).warning(message, "No module named 'kernels'")

    assert len(caplog.records) == shown
    assert len(logging.getLogger(CPU_KERNELS).filters) == 1
