"""The boot scripts: iPXE (https://ipxe.org/cmd), GRUB 2 (manual, 16 and 17) and PXELINUX (wiki.syslinux.org, Config).

Values were checked by ``values``; nothing here has to be escaped any more. Each script shows the server's key by its
fingerprint, for a person in front of the machine to compare with what ``ahc serve`` says.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ahc_server.netboot.values import Url

KERNEL, INITRAMFS = "vmlinuz", "initramfs"
TITLE = "AHC discovery ramdisk"


@dataclass(frozen=True, slots=True)
class Script:
    """What all boot scripts say. ``command_line`` goes to the kernel; ``remarks`` are shown first, one a line; ``signed``:
    there are ``vmlinuz.sig`` and ``initramfs.sig`` for iPXE to check."""

    base: Url
    command_line: str
    remarks: Sequence[str]
    signed: bool = False


def ipxe(script: Script) -> str:
    """The image is fetched again until it comes: machines may be faster than their server. ``netX`` is the card in use."""
    shown = "\n".join(f"echo {remark}" for remark in script.remarks)
    trust, verify = "", ""
    if script.signed:
        trust = "imgtrust --permanent || goto untrusted\n"
        verify = "".join(
            f"imgverify {name} ${{base}}/{name}.sig || goto untrusted\n" for name in (KERNEL, INITRAMFS)
        )
    untrusted = ""
    if script.signed:
        untrusted = f"""
:untrusted
echo {TITLE}: nothing is started. The image is not signed by
echo whom this iPXE trusts, or this iPXE cannot check it. Sign the image, or
echo boot an iPXE that was built to trust its signer.
prompt Press a key to start over
imgfree
goto start
"""
    return f"""#!ipxe
# {TITLE}
set base {script.base}
{shown}
{trust}
:start
echo {TITLE}: fetching ${{base}}/{KERNEL} by ${{netX/mac}} (${{netX/ip}})
imgfree
kernel --name {KERNEL} ${{base}}/{KERNEL} initrd={INITRAMFS} {script.command_line} BOOTIF=01-${{netX/mac:hexhyp}} || goto failed
initrd --name {INITRAMFS} ${{base}}/{INITRAMFS} || goto failed
{verify}boot || goto failed

:failed
echo {TITLE}: ${{errno}} (is the web server at ${{base}} there?)
prompt --key 0x02 --timeout 10000 Trying again in 10 seconds, Ctrl-B for a shell of iPXE && shell || goto start
{untrusted}"""


def grub(script: Script) -> str:
    """Files come from where GRUB itself came from (``$root``): Debian's GRUB that is signed for Secure Boot has no HTTP."""
    shown = "\n".join(f"    echo '{remark}'" for remark in script.remarks)
    words = " ".join(f"'{word}'" for word in script.command_line.split())
    return f"""# {TITLE}
set timeout=3
menuentry '{TITLE}' {{
{shown}
    linux /{KERNEL} {words} BOOTIF=01-$net_default_mac
    initrd /{INITRAMFS}
}}
"""


def pxelinux(script: Script) -> str:
    """Files come from where PXELINUX itself came from; ``IPAPPEND 2`` adds ``BOOTIF``. A held Shift key or Caps Lock brings its
    prompt, which no machine may wait at for ever: tenths of a second without a key, and in all."""
    shown = "\n".join(f"  SAY {remark}" for remark in script.remarks)
    return f"""# {TITLE}
DEFAULT ahc
PROMPT 0
TIMEOUT 100
TOTALTIMEOUT 3000
LABEL ahc
{shown}
  KERNEL /{KERNEL}
  INITRD /{INITRAMFS}
  APPEND {script.command_line}
  IPAPPEND 2
"""
