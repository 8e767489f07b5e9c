"""Booting machines from the network into the discovery ramdisk: the folder that a DHCP, a TFTP and an HTTP server need, plans for
machines that find no server, and small servers of our own for a lab."""
