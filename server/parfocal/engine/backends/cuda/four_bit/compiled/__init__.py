"""4-bit products in CUDA C++ on tensor cores, compiled at start: the second implementation of `Product`."""

from parfocal.engine.backends.cuda.four_bit.compiled.product import CompiledProduct, compiled_products

__all__ = ["CompiledProduct", "compiled_products"]
