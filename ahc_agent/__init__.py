"""The agent: what a node knows, measures and says.

This package is the ground floor of AHC. It imports nothing of ``ahc_server`` and neither numpy nor
scipy, because it has to fit a discovery ramdisk.
"""

__version__ = "0.1.0"
