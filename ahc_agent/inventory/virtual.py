"""Whether the machine is a virtual one, and whose: "kvm", "vmware", "xen", ..., "none" on bare metal, None if untold.

The names are those of ``systemd-detect-virt``. On x86 the CPU flag ``hypervisor`` (CPUID leaf 1, ECX bit 31) is
what tells a virtual machine from bare metal; who the hypervisor is, firmware strings and clock sources say.
"""

from __future__ import annotations

from ahc_agent.facts import System
from ahc_agent.inventory.cpuinfo import first_values
from ahc_agent.inventory.root import Root

#: Beginning of a firmware string (vendor, product, board, BIOS) that only virtual machines have.
_FIRMWARE = (
    ("VMware", "vmware"),
    ("VMW", "vmware"),
    ("VirtualBox", "oracle"),
    ("innotek GmbH", "oracle"),
    ("Virtual Machine", "microsoft"),
    ("Xen", "xen"),
    ("HVM domU", "xen"),
    ("Parallels", "parallels"),
    ("BHYVE", "bhyve"),
    ("Bochs", "bochs"),
    ("Apple Virtualization", "apple"),
    ("KVM", "kvm"),
    ("KubeVirt", "kvm"),
    ("OpenStack", "kvm"),
    ("QEMU", "qemu"),
)

#: Clouds that rent bare metal under the same names; these say who only where the CPU says that it is virtual.
_CLOUDS = (
    ("Amazon EC2", "amazon"),
    ("Google", "google"),
    ("Alibaba Cloud", "kvm"),
    ("DigitalOcean", "kvm"),
    ("Hetzner", "kvm"),
    ("Microsoft Corporation", "microsoft"),
)

_CLOCKS = (("kvm-clock", "kvm"), ("hyperv_clocksource", "microsoft"), ("xen", "xen"))
_CLOCK_FILE = "/sys/devices/system/clocksource/clocksource0/available_clocksource"

_S390_CONTROL_PROGRAMS = (("z/VM", "zvm"), ("KVM", "kvm"))
_UNNAMED = "vm-other"


def virtualization(root: Root, system: System) -> str | None:
    """The hypervisor's name, "none", or None."""
    if root.text("/sys/hypervisor/type") == "xen":
        control = "control_d" in (root.text("/proc/xen/capabilities") or "")
        return "none" if control else "xen"
    cpuinfo = first_values(root.text("/proc/cpuinfo") or "")
    if cpuinfo.get("vendor_id") == "IBM/S390":
        return _on_s390(root)
    words = [system.vendor, system.product, system.board_vendor, system.bios.vendor, system.bios.version]
    named = named_by_firmware(words)
    if "flags" in cpuinfo and "cpu family" in cpuinfo:
        if named or "hypervisor" not in cpuinfo["flags"].split():
            return _kvm_in_qemu(root, named) if named else "none"
        return _match(words, _CLOUDS) or _by_clock(root) or _UNNAMED
    if root.exists("/proc/device-tree/ibm,partition-name"):
        return "powervm"
    if (root.text("/proc/device-tree/hypervisor/compatible") or "").startswith("linux,kvm"):
        return "kvm"
    return named


def _kvm_in_qemu(root: Root, named: str) -> str:
    """QEMU's firmware strings are the same whether it emulates ("qemu") or KVM runs the machine ("kvm")."""
    return _by_clock(root) or named if named == "qemu" else named


def _by_clock(root: Root) -> str | None:
    clocks: list[str | None] = [*(root.text(_CLOCK_FILE) or "").split()]
    return _match(clocks, _CLOCKS)


def _on_s390(root: Root) -> str | None:
    """``/proc/sysinfo`` names each level above; a machine without one above its partition runs in a PR/SM partition."""
    sysinfo = first_values(root.text("/proc/sysinfo") or "")
    if not sysinfo:
        return None
    return _match([sysinfo.get("VM00 Control Program")], _S390_CONTROL_PROGRAMS) or "pr/sm"


def named_by_firmware(words: list[str | None]) -> str | None:
    """The hypervisor that firmware strings (vendor, product, board, BIOS) name, None where they name none."""
    return _match(words, _FIRMWARE)


def _match(words: list[str | None], table: tuple[tuple[str, str], ...]) -> str | None:
    return next((name for start, name in table for word in words if word and word.startswith(start)), None)
