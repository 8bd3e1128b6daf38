"""What stands between a layer's products, each in one launch, and a product together with its shrink."""

from parfocal.engine.backends.cuda.fused.kernels.gate import gate_kernel
from parfocal.engine.backends.cuda.fused.kernels.joint import joint_kernel
from parfocal.engine.backends.cuda.fused.kernels.norm import norm_kernel
from parfocal.engine.backends.cuda.fused.kernels.rotate import rotate_kernel

__all__ = ["gate_kernel", "joint_kernel", "norm_kernel", "rotate_kernel"]
