"""The discovery ramdisk: builds the kernel and the initramfs that machines with empty disks boot."""
