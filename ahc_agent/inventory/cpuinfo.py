"""What ``/proc/cpuinfo`` says; every architecture has its own form of it (kernel: ``arch/*/kernel/*`` ``show_cpuinfo``).

The file is read once and taken as blocks of "key : value" lines. The first block with a value stands for the machine,
except where CPUs may differ (Arm parts, microcode, flags): there all the distinct ones are told.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ahc_agent.inventory.root import Root, whole_number

_END_CHARACTERS = 32 * 1024
_SPACES = re.compile(r"\s+")
_MICROCODE = re.compile(r"^microcode\s*:\s*(\S+)", re.M)
_ARM_PART = re.compile(
    r"^CPU implementer[ \t]*:[ \t]*(0x[0-9a-f]{1,2})\n.{0,400}?^CPU part[ \t]*:[ \t]*(0x[0-9a-f]{1,4})$",
    re.M | re.S,
)
_ARM_SUFFIX = re.compile(r"\((v\d\w*)\)")
_S390_MACHINE = re.compile(r"machine = (\w{4})")

#: Arm implementer codes (Arm ARM, MIDR_EL1.Implementer; Linux arch/arm64/include/asm/cputype.h).
ARM_IMPLEMENTERS = {
    0x41: "ARM",
    0x42: "Broadcom",
    0x43: "Cavium",
    0x46: "Fujitsu",
    0x48: "HiSilicon",
    0x4E: "NVIDIA",
    0x50: "APM",
    0x51: "Qualcomm",
    0x53: "Samsung",
    0x56: "Marvell",
    0x61: "Apple",
    0x6D: "Microsoft",
    0x70: "Phytium",
    0xC0: "Ampere",
}

#: (implementer, part) to the core's name, from the vendors' technical reference manuals.
ARM_PARTS = {
    (0x41, 0xC05): "Cortex-A5",
    (0x41, 0xC07): "Cortex-A7",
    (0x41, 0xC08): "Cortex-A8",
    (0x41, 0xC09): "Cortex-A9",
    (0x41, 0xC0D): "Cortex-A17",
    (0x41, 0xC0E): "Cortex-A17",
    (0x41, 0xC0F): "Cortex-A15",
    (0x41, 0xD03): "Cortex-A53",
    (0x41, 0xD04): "Cortex-A35",
    (0x41, 0xD05): "Cortex-A55",
    (0x41, 0xD07): "Cortex-A57",
    (0x41, 0xD08): "Cortex-A72",
    (0x41, 0xD09): "Cortex-A73",
    (0x41, 0xD0A): "Cortex-A75",
    (0x41, 0xD0B): "Cortex-A76",
    (0x41, 0xD0C): "Neoverse-N1",
    (0x41, 0xD0D): "Cortex-A77",
    (0x41, 0xD40): "Neoverse-V1",
    (0x41, 0xD41): "Cortex-A78",
    (0x41, 0xD44): "Cortex-X1",
    (0x41, 0xD46): "Cortex-A510",
    (0x41, 0xD47): "Cortex-A710",
    (0x41, 0xD48): "Cortex-X2",
    (0x41, 0xD49): "Neoverse-N2",
    (0x41, 0xD4A): "Neoverse-E1",
    (0x41, 0xD4D): "Cortex-A715",
    (0x41, 0xD4E): "Cortex-X3",
    (0x41, 0xD4F): "Neoverse-V2",
    (0x41, 0xD80): "Cortex-A520",
    (0x41, 0xD81): "Cortex-A720",
    (0x41, 0xD82): "Cortex-X4",
    (0x41, 0xD84): "Neoverse-V3",
    (0x41, 0xD8E): "Neoverse-N3",
    (0x42, 0x516): "ThunderX2",
    (0x43, 0x0A1): "ThunderX",
    (0x43, 0x0AF): "ThunderX2",
    (0x43, 0x0B8): "ThunderX3",
    (0x46, 0x001): "A64FX",
    (0x48, 0xD01): "TaiShan v110",
    (0x48, 0xD02): "TaiShan v120",
    (0x4E, 0x003): "Denver 2",
    (0x4E, 0x004): "Carmel",
    (0x50, 0x000): "X-Gene",
    (0x51, 0xC00): "Falkor",
    (0x51, 0xC01): "Saphira",
    (0x56, 0x581): "PJ4",
    (0x70, 0x660): "FTC660",
    (0x70, 0x661): "FTC661",
    (0x70, 0x662): "FTC662",
    (0x70, 0x663): "FTC663",
    (0x6D, 0xD49): "Azure Cobalt 100",
    (0xC0, 0xAC3): "Ampere-1",
    (0xC0, 0xAC4): "Ampere-1A",
}

#: RISC-V ``mvendorid``: a JEDEC manufacturer id (RISC-V privileged specification, 3.1.2).
RISCV_VENDORS = {
    0x31E: "Andes",
    0x489: "SiFive",
    0x5B7: "T-Head",
    0x602: "Ventana",
    0x710: "SpacemiT",
}

#: IBM Z machine types.
S390_MACHINES = {
    "2064": "z900",
    "2066": "z800",
    "2084": "z990",
    "2086": "z890",
    "2094": "z9 EC",
    "2096": "z9 BC",
    "2097": "z10 EC",
    "2098": "z10 BC",
    "2817": "z196",
    "2818": "z114",
    "2827": "zEC12",
    "2828": "zBC12",
    "2964": "z13",
    "2965": "z13s",
    "3906": "z14",
    "3907": "z14 ZR1",
    "8561": "z15",
    "8562": "z15 T02",
    "3931": "z16",
    "3932": "z16 A02",
    "9175": "z17",
}

#: Keys that name the processor, the best first. Arm and s390, which name none of these well, are read apart.
_MODEL_KEYS = ("model name", "Model Name", "cpu model", "cpu", "Processor")
_FLAG_KEYS = ("flags", "Features", "features", "isa", "ASEs implemented")


@dataclass(frozen=True, slots=True)
class CpuInfo:
    """The processor as ``/proc/cpuinfo`` tells it; None and empty where it does not."""

    processors: int = 0
    architecture: str | None = None
    model: str | None = None
    vendor: str | None = None
    family: int | None = None
    model_number: int | None = None
    stepping: int | None = None
    flags: tuple[str, ...] = ()
    microcode: str | None = None


def read_cpuinfo(root: Root) -> CpuInfo:
    """Parse ``/proc/cpuinfo``; an absent file gives an empty answer."""
    return parse_cpuinfo(root.text("/proc/cpuinfo") or "")


def parse_cpuinfo(text: str) -> CpuInfo:
    """Parse the text of ``/proc/cpuinfo`` of any architecture."""
    values = first_values(text)
    flags = _flags(text, values)
    vendor, model = _vendor_and_model(text, values)
    microcode = sorted(set(_MICROCODE.findall(text)))
    return CpuInfo(
        processors=len(re.findall(r"^processor\b", text, re.M)),
        architecture=_architecture(values, flags),
        model=model,
        vendor=vendor,
        family=whole_number(values.get("cpu family") or values.get("family")),
        model_number=whole_number(values.get("model")),
        stepping=whole_number(values.get("stepping") or values.get("CPU revision")),
        flags=flags,
        microcode=", ".join(microcode) or None,
    )


def first_values(text: str) -> dict[str, str]:
    """The first value of every key; keys are kept as the kernel writes them ("processor" and "Processor" differ).

    Of a long text only both ends are looked at: the middle repeats the first processor hundreds of times.
    """
    if len(text) > 2 * _END_CHARACTERS:
        text = text[:_END_CHARACTERS].rpartition("\n")[0] + "\n" + text[-_END_CHARACTERS:].partition("\n")[2]
    values: dict[str, str] = {}
    for line in text.splitlines():
        key, colon, value = line.partition(":")
        if colon and (value := _SPACES.sub(" ", value).strip()):
            values.setdefault(key.strip(), value)
    return values


def _flags(text: str, values: dict[str, str]) -> tuple[str, ...]:
    """What any of the CPUs can do, in the words and the order of the first; the others add what it lacks."""
    key = next((key for key in _FLAG_KEYS if key in values), None)
    if key is None:
        return ()
    split = _riscv_extensions if key == "isa" and values[key].startswith("rv") else str.split
    flags = list(split(values[key]))
    for line in dict.fromkeys(re.findall(rf"^{re.escape(key)}[ \t]*:(.*)$", text, re.M)):
        flags += [flag for flag in split(line) if flag not in flags]
    return tuple(flags)


def _riscv_extensions(isa: str) -> list[str]:
    """The base and the extensions: "rv64imafdc_zicsr" has rv64, i, m, a, f, d, c and zicsr."""
    base, *long_names = isa.strip().lower().split("_")
    return [base[:4], *base[4:], *(name for name in long_names if name)]


def _vendor_and_model(text: str, values: dict[str, str]) -> tuple[str | None, str | None]:
    """The processor's maker and name, each by its architecture's habit."""
    if "CPU implementer" in values:
        return _arm(text, values)
    if values.get("vendor_id") == "IBM/S390":
        machine = _S390_MACHINE.search(text)
        name = S390_MACHINES.get(machine[1], "") if machine else ""
        return values["vendor_id"], f"{machine[1]} {name}".strip() if machine else None
    if "mvendorid" in values or "hart" in values:
        code = whole_number(values.get("mvendorid"), 16)
        return RISCV_VENDORS.get(code or 0), values.get("model name") or values.get("uarch")
    return (
        values.get("vendor_id") or values.get("vendor"),
        next((values[key] for key in _MODEL_KEYS if key in values), None),
    )


def _arm(text: str, values: dict[str, str]) -> tuple[str | None, str | None]:
    """All the kinds of cores of a big.LITTLE machine, joined: "Cortex-A53 + Cortex-A72"."""
    parts = sorted({(int(implementer, 16), int(part, 16)) for implementer, part in _ARM_PART.findall(text)})
    names = [ARM_PARTS.get(part) for part in parts]
    vendors = [ARM_IMPLEMENTERS.get(implementer) for implementer, _ in parts]
    known = [name for name in names if name is not None]
    spoken = values.get("model name") or values.get("Processor")
    model = " + ".join(known) if known and len(known) == len(names) else spoken
    return vendors[0] if len(set(vendors)) == 1 else None, model


def _architecture(values: dict[str, str], flags: tuple[str, ...]) -> str | None:
    """The architecture as ``uname -m`` names it, as far as the form of the file tells (POWER's byte order it does not)."""
    if "CPU implementer" in values:
        if "asimd" in flags:
            return "aarch64"
        suffix = _ARM_SUFFIX.search(values.get("Processor") or values.get("model name") or "")
        return f"arm{suffix[1]}" if suffix else None
    if "flags" in values and "cpu family" in values:
        return "x86_64" if "lm" in flags else "i686"
    if values.get("vendor_id") == "IBM/S390":
        return "s390x" if "zarch" in flags else "s390"
    if "hart" in values and flags:
        return {"rv64": "riscv64", "rv32": "riscv32"}.get(flags[0])
    if values.get("arch") == "IA-64":
        return "ia64"
    if "ISA" in values and "loongarch64" in values["ISA"].split():
        return "loongarch64"
    return None
