"""A FUSE file system with one file that claims an fs-verity digest: lie.py MOUNTPOINT FILE DIGEST.

The kernel hands FS_IOC_MEASURE_VERITY to the server (Linux 6.10), which may say what it likes.
"""
import os
import struct
import subprocess
import sys

mountpoint, path, digest = sys.argv[1:]
data = open(path, "rb").read()
device = os.open("/dev/fuse", os.O_RDWR)
options = f"fd={device},rootmode=40000,user_id=0,group_id=0,allow_other"
subprocess.run(["mount", "-i", "-t", "fuse", "-o", options, "lie", mountpoint], pass_fds=[device], check=True)

ROOT, FILE = 1, 2


def attributes(node):
    size, mode = (0, 0o40755) if node == ROOT else (len(data), 0o100644)
    return struct.pack("<6Q10I", node, size, 0, 0, 0, 0, 0, 0, 0, mode, 1, 0, 0, 0, 4096, 0)


def answer(opcode, node, body):
    if opcode == 1:  # LOOKUP
        return struct.pack("<4Q2I", FILE, 0, 0, 0, 0, 0) + attributes(FILE) if body == b"image\0" else 2
    if opcode == 3:  # GETATTR
        return struct.pack("<Q2I", 0, 0, 0) + attributes(node)
    if opcode in (14, 27):  # OPEN, OPENDIR
        return struct.pack("<Q2I", 0, 0, 0)
    if opcode == 15:  # READ
        offset, size = struct.unpack_from("<QI", body, 8)
        return data[offset : offset + size]
    if opcode == 17:  # STATFS
        return struct.pack("<5Q4I24x", 1, 0, 0, 2, 0, 4096, 255, 4096, 0)
    if opcode in (18, 25, 29):  # RELEASE, FLUSH, RELEASEDIR
        return b""
    if opcode == 26:  # INIT
        return struct.pack("<4I2HI2H8I", 7, 31, 65536, 0, 16, 12, 65536, 1, 16, 0, 0, 0, 0, 0, 0, 0, 0)
    if opcode == 39 and struct.unpack_from("<I", body, 12)[0] == 0xC0046686:  # IOCTL: FS_IOC_MEASURE_VERITY
        claimed = bytes.fromhex(digest)
        return struct.pack("<iIII", 0, 0, 0, 0) + struct.pack("<HH", 1, len(claimed)) + claimed
    return 38


if os.fork() == 0:
    while True:
        try:
            request = os.read(device, 1 << 20)
        except OSError:
            break
        _, opcode, unique, node = struct.unpack_from("<IIQQ", request)
        if opcode in (2, 42):  # FORGET, BATCH_FORGET
            continue
        result = answer(opcode, node, request[40:])
        error, payload = (-result, b"") if isinstance(result, int) else (0, result)
        os.write(device, struct.pack("<IiQ", 16 + len(payload), error, unique) + payload)
