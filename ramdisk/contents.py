"""What goes into an image: packages, programs, data, kernel modules, and what of Python stays out. Tables only."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

SUITE = "bookworm"
PYTHON = "3.11"
#: Where Debian's Python looks for its own modules, and for those of packages.
LIBRARY = f"usr/lib/python{PYTHON}"
SITE = "usr/lib/python3/dist-packages"

#: Shipped plans that a machine can run without a server (``ahc.plan=quick``).
PLANS = ("quick", "standard")

#: Debian packages whose programs or data are used; their dependencies come along but only what is needed of them.
PACKAGES = (
    "busybox",
    "ca-certificates",
    "ethtool",
    "fio",
    "iperf3",
    "iproute2",
    "ipmitool",
    "kmod",
    "libpython3.11-stdlib",
    "netbase",
    "numactl",
    "pciutils",
    "python3-minimal",
    "smartmontools",
    "sysbench",
    "util-linux",
)

#: Brings the server for ``--ssh-key``.
SSH_PACKAGE = "dropbear-bin"

#: What a disk boots with.
BOOT_PACKAGES = ("grub-efi-amd64-signed", "shim-signed", "syslinux", "syslinux-common")

#: Programs of these packages, by the heading under which their size is counted.
PROGRAMS = MappingProxyType(
    {
        "benchmarks": ("/usr/bin/fio", "/usr/bin/iperf3", "/usr/bin/sysbench"),
        "tools": (
            "/usr/bin/ipmitool",
            "/usr/bin/lspci",
            "/usr/bin/numactl",
            "/usr/sbin/blkid",
            "/usr/sbin/ethtool",
            "/usr/sbin/smartctl",
            "/usr/sbin/wipefs",
        ),
        "system": (
            "/bin/busybox",
            "/bin/kmod",
            "/bin/ip",
            "/sbin/tc",
            "/sbin/modprobe",
            "/sbin/insmod",
            "/sbin/lsmod",
            "/sbin/rmmod",
            "/sbin/depmod",
            "/sbin/modinfo",
        ),
        "python": ("/usr/bin/python3", f"/usr/bin/python{PYTHON}"),
    }
)

#: Libraries that are in the image as stand-ins only, and the programs that are linked with them (see ``standins``).
STANDINS = MappingProxyType(
    {
        "libfreeipmi.so.17": ("/usr/bin/ipmitool",),
        "libgfapi.so.0": ("/usr/bin/fio",),
        "libibverbs.so.1": ("/usr/bin/fio",),
        "libmariadb.so.3": ("/usr/bin/sysbench",),
        "libnbd.so.0": ("/usr/bin/fio",),
        "libpmem.so.1": ("/usr/bin/fio",),
        "libpmemblk.so.1": ("/usr/bin/fio",),
        "libpq.so.5": ("/usr/bin/sysbench",),
        "librados.so.2": ("/usr/bin/fio",),
        "librbd.so.1": ("/usr/bin/fio",),
        "librdmacm.so.1": ("/usr/bin/fio",),
    }
)

#: Files that programs open by name, and libraries that they load by name.
DATA = MappingProxyType(
    {
        "tools": (
            "/usr/share/misc/pci.ids",
            "/usr/share/ipmitool/oem_ibm_sel_map",
        ),
        "system": (
            "/etc/protocols",
            "/etc/services",
            "/usr/lib/x86_64-linux-gnu/libgcc_s.so.1",  # loaded by pthread_cancel and pthread_exit
        ),
    }
)

#: Files that a package's maintainer script puts in place: path in the image → where the package has it.
COPIES = MappingProxyType({"var/lib/smartmontools/drivedb/drivedb.h": "usr/share/smartmontools/drivedb.h"})

#: The applets of busybox that get a link, where no other package of the image brings the program.
APPLETS_IN_BIN = (
    "arping", "ash", "awk", "basename", "cat", "chmod", "chown", "chgrp", "clear", "cmp", "cp", "cut", "date",
    "dd", "df", "dirname", "dmesg", "du", "echo", "ed", "egrep", "env", "expr", "false", "fgrep", "find", "free",
    "grep", "groups", "gunzip", "gzip", "head", "hexdump", "hostname", "id", "kill", "killall", "less", "ln",
    "logger", "ls", "md5sum", "mkdir", "mkfifo", "mknod", "mktemp", "more", "mount", "mv", "nc", "nice", "nohup",
    "nslookup", "od", "openvt", "patch", "pgrep", "pidof", "ping", "ping6", "pkill", "printf", "ps", "pwd",
    "readlink", "realpath", "renice", "reset", "rm", "rmdir", "sed", "seq", "setsid", "sh", "sha256sum", "sleep",
    "sort", "stat", "strings", "stty", "sync", "tail", "tar", "tee", "telnet", "test", "time", "timeout", "top",
    "touch", "tr", "traceroute", "true", "truncate", "tty", "umount", "uname", "uniq", "uptime", "usleep", "vi",
    "watch", "wc", "wget", "which", "xargs", "xxd", "yes", "zcat",
)  # fmt: skip
APPLETS_IN_SBIN = (
    "arp", "blockdev", "chroot", "fdisk", "getty", "halt", "hwclock", "ifconfig", "init", "losetup", "mdev",
    "mkswap", "pivot_root", "poweroff", "reboot", "route", "swapoff", "swapon", "switch_root", "sysctl", "udhcpc",
    "watchdog",
)  # fmt: skip

#: Empty places that programs expect. The modes are Debian's.
PLACES = MappingProxyType(
    {
        "dev": 0o755,
        "etc": 0o755,
        "mnt": 0o755,
        "proc": 0o555,
        "root": 0o700,
        "run": 0o755,
        "sys": 0o555,
        "tmp": 0o1777,
        "var/lib": 0o755,
        "var/log": 0o755,
        "var/tmp": 0o1777,
    }
)

LINKS = MappingProxyType({"var/run": "/run", "etc/mtab": "/proc/self/mounts"})

SMALL_FILES = MappingProxyType(
    {
        "etc/passwd": "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/bin/false\n",
        "etc/group": "root:x:0:\ntty:x:5:\ndisk:x:6:\nnogroup:x:65534:\n",
        "etc/shadow": "root:!:1::::::\nnobody:!:1::::::\n",
        "etc/nsswitch.conf": "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\nprotocols: files\nservices: files\n",
        "etc/hosts": "127.0.0.1 localhost\n::1 localhost ip6-localhost\n",
        "etc/shells": "/bin/sh\n",
    }
)

#: Parts of Python's library that are in no image: graphical, tests, installers.
PYTHON_NEVER = (
    "antigravity", "ensurepip", "idlelib", "lib2to3", "test", "this", "tkinter", "turtle", "turtledemo", "venv",
)  # fmt: skip

#: Parts that an import leads to somewhere but that the agent does not use.
PYTHON_LEFT_OUT = (
    *PYTHON_NEVER, "_aix_support", "_bootsubprocess", "_osx_support", "_pydecimal", "asynchat", "asyncore", "cProfile",
    "compileall", "curses", "dbm", "distutils", "doctest", "pydoc", "pydoc_data", "sqlite3", "unittest", "wsgiref", "xmlrpc",
)  # fmt: skip

#: Modules that are loaded by name only, by the interpreter (encodings), by compiled wheels, or by a person who looks for a fault.
PYTHON_ALWAYS = (
    "encodings.aliases", "encodings.ascii", "encodings.cp437", "encodings.idna", "encodings.latin_1", "encodings.utf_8",
    "encodings.utf_8_sig", "encodings.utf_16", "site", "codecs", "io", "abc", "os", "stat", "runpy", "importlib.metadata",
    "importlib.resources", "importlib.util", "traceback", "linecache", "pdb", "code", "faulthandler", "tracemalloc",
    "datetime", "decimal", "uuid", "zoneinfo", "dataclasses", "enum", "base64", "ssl", "http.client", "urllib.request",
)  # fmt: skip

#: Parts of wheels that nothing at run time needs: folders by name, files by their ending.
SITE_LEFT_OUT = frozenset(
    {
        "__pycache__",
        "tests",
        "test",
        ".pyi",
        ".pxd",
        ".pyx",
        ".h",
        ".c",
        "RECORD",
        "INSTALLER",
        "REQUESTED",
        "direct_url.json",
    }
)


@dataclass(frozen=True, slots=True)
class Flavour:
    """One kind of image.

    ``modules`` and ``left_out`` are folders, files or patterns below ``/lib/modules/VERSION/kernel``; ``left_out`` wins, except
    over what another module needs. ``limit_bytes`` is what the compressed initramfs without firmware may take.
    """

    name: str
    kernel_package: str
    about: str
    modules: tuple[str, ...]
    left_out: tuple[str, ...]
    limit_bytes: int


#: Everything that both flavours take where their kernel has it.
_COMMON = (
    "arch/x86/crypto/crc*",
    "arch/x86/crypto/crct10dif-pclmul.ko",
    "crypto/crc*",
    "drivers/acpi",
    "drivers/ata",
    "drivers/block/loop.ko",
    "drivers/block/nbd.ko",
    "drivers/block/virtio_blk.ko",
    "drivers/block/xen-blkfront.ko",
    "drivers/char/hw_random",
    "drivers/char/ipmi",
    "drivers/char/virtio_console.ko",
    "drivers/cpufreq",
    "drivers/edac",
    "drivers/firmware/dmi-sysfs.ko",
    "drivers/firmware/edd.ko",
    "drivers/firmware/efi",
    "drivers/firmware/qemu_fw_cfg.ko",
    "drivers/hv",
    "drivers/hwmon",
    "drivers/md/md-mod.ko",
    "drivers/net/bonding",
    "drivers/net/ethernet",
    "drivers/net/hyperv",
    "drivers/net/mdio",
    "drivers/net/net_failover.ko",
    "drivers/net/phy",
    "drivers/net/veth.ko",
    "drivers/net/virtio_net.ko",
    "drivers/net/vmxnet3",
    "drivers/net/xen-netfront.ko",
    "drivers/nvme/host",
    "drivers/pci",
    "drivers/powercap",
    "drivers/scsi",
    "drivers/thermal/intel/intel_pch_thermal.ko",
    "drivers/thermal/intel/x86_pkg_temp_thermal.ko",
    "drivers/virtio",
    "drivers/watchdog",
    "fs/efivarfs",
    "fs/ext4",
    "fs/fat",
    "fs/isofs",
    "fs/nls/nls_ascii.ko",
    "fs/nls/nls_cp437.ko",
    "fs/nls/nls_iso8859-1.ko",
    "fs/nls/nls_utf8.ko",
    "net/8021q",
    "net/packet",
    "net/sched/sch_netem.ko",
    "net/sched/sch_tbf.ko",
)

_LEFT_OUT = (
    # tests of the kernel itself, and what could make a machine lie about its health
    "drivers/acpi/apei/einj.ko",
    "drivers/pci/pcie/aer_inject.ko",
    "drivers/scsi/scsi_debug.ko",
    # cards of PCMCIA slots, and of the twentieth century
    "*_cs.ko",
    "drivers/ata/pata_pcmcia.ko",
    "drivers/scsi/pcmcia",
    "drivers/net/ethernet/8390",
    "drivers/net/ethernet/dlink",
    "drivers/net/ethernet/fealnx.ko",
    "drivers/net/ethernet/natsemi",
    "drivers/net/ethernet/packetengines",
    "drivers/net/ethernet/rdc",
    "drivers/net/ethernet/silan",
    "drivers/net/ethernet/sis",
    "drivers/net/ethernet/smsc",
    "drivers/net/ethernet/ti",
    "drivers/net/ethernet/xircom",
    # storage reached over a network, which nobody sets up here
    "drivers/nvme/host/nvme-fc.ko",
    "drivers/nvme/host/nvme-rdma.ko",
    "drivers/scsi/be2iscsi",
    "drivers/scsi/bnx2fc",
    "drivers/scsi/bnx2i",
    "drivers/scsi/cxgbi",
    "drivers/scsi/device_handler",
    "drivers/scsi/fcoe",
    "drivers/scsi/libfc",
    "drivers/scsi/qedf",
    "drivers/scsi/qedi",
    "drivers/scsi/qla2xxx/tcm_qla2xxx.ko",
    "drivers/scsi/qla4xxx",
)

FLAVOURS = MappingProxyType(
    {
        "virtual": Flavour(
            name="virtual",
            kernel_package="linux-image-cloud-amd64",
            about="virtual machines: Debian's cloud kernel",
            modules=_COMMON,
            left_out=_LEFT_OUT,
            limit_bytes=45_000_000,
        ),
        "full": Flavour(
            name="full",
            kernel_package="linux-image-amd64",
            about="real servers: Debian's full kernel, with drivers for storage, network, IPMI, EDAC and sensors",
            modules=(
                *_COMMON,
                "arch/x86/kernel/msr.ko",
                "arch/x86/kernel/cpuid.ko",
                "drivers/block/mtip32xx",
                "drivers/dax",
                "drivers/hid/usbhid",
                "drivers/hid/hid.ko",
                "drivers/hid/hid-generic.ko",
                "drivers/i2c/busses/i2c-i801.ko",
                "drivers/i2c/busses/i2c-piix4.ko",
                "drivers/i2c/i2c-smbus.ko",
                "drivers/infiniband/hw/hfi1",
                "drivers/infiniband/hw/mlx4",
                "drivers/infiniband/hw/mlx5",
                "drivers/infiniband/ulp/ipoib",
                "drivers/message/fusion",
                "drivers/mfd/lpc_ich.ko",
                "drivers/misc/hpilo.ko",
                "drivers/net/usb/cdc_ether.ko",
                "drivers/net/usb/rndis_host.ko",
                "drivers/nvdimm",
                "drivers/platform/x86/dell/dcdbas.ko",
                "drivers/platform/x86/wmi.ko",
                "drivers/usb/core",
                "drivers/usb/host",
                "drivers/usb/storage",
            ),
            # kmem makes memory of the machine out of a device that is to be measured
            left_out=(*_LEFT_OUT, "drivers/dax/kmem.ko", "drivers/usb/storage/ums-*"),
            limit_bytes=75_000_000,
        ),
    }
)
