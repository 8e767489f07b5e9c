# Where the sources of AHC are on the build host; empty: above the element itself.
export DIB_AHC_SOURCE=${DIB_AHC_SOURCE:-}
# What pip is told instead of these sources: "ahc==0.1.0", or the path of a wheel inside the image.
export DIB_AHC_PACKAGE=${DIB_AHC_PACKAGE:-}
# The virtual environment of ironic-python-agent in the image.
export DIB_AHC_VENV=${DIB_AHC_VENV:-/opt/ironic-python-agent}
# Collectors that inspection runs unless the kernel's arguments say others: "default,logs,ahc". Empty: as ironic-python-agent has them.
export DIB_AHC_COLLECTORS=${DIB_AHC_COLLECTORS:-}
