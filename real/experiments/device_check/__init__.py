"""Does everything run on this device as it does on the CPU, and how fast?"""

from real.experiments.device_check.check import device_check
from real.experiments.device_check.subjects import SMALL, WHOLE

__all__ = ["SMALL", "WHOLE", "device_check"]
