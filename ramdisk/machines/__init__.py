"""Real machines for tests and benchmarks: QEMU guests on a bridge in a network namespace that boot over the network.

::

    hardware.py   what a machine is made of, as data
    qemu.py       from that to QEMU's arguments; pure
    wire.py       the namespace, the bridge, a tap for each card
    guest.py      a machine that runs: its console, its screen, its end
    site.py       a wire with DHCP, TFTP and HTTP (`ahc netboot`) and a server (`ahc serve`), as an operator has them
    stages.py     where the time goes between power-on and registered

Everything runs in software emulation (``-accel tcg``) and needs root, QEMU, dnsmasq and an image (``make ramdisk``).
"""
