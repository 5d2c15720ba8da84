"""Makes grid.z: small files of many encodings, each with what an independent decoder makes of it.

Needs libjpeg-turbo's cjpeg and djpeg, libtiff's tiffcp, and pillow, numpy, tifffile and imagecodecs:

    python grid.py

A record is: length of the name (2 bytes), name, length of the file (4 bytes), file, length of the pixels (4 bytes), pixels
as a binary PGM or PPM. No pixels: the decoder failed or warned, so that the file must be refused. Numbers are
little-endian; all records are one zlib stream.
"""

import io
import os
import random
import struct
import subprocess
import tempfile
import zlib

import numpy as np
import tifffile
from PIL import Image

WIDTH, HEIGHT = 37, 23
WORK = tempfile.mkdtemp()
records = []


def photograph(width=WIDTH, height=HEIGHT):
    """A picture with edges, slopes and noise."""
    generator = np.random.default_rng(5)
    y, x = np.mgrid[0:height, 0:width]
    channels = [128 + 90 * np.sin(x / 7 + y / 11), 128 + 80 * np.cos(x / 5 - y / 9), 60 + 5 * x]
    pixels = np.stack(channels, -1) + generator.normal(0, 4, (height, width, 3))
    pixels[(y - 9) ** 2 + (x - 14) ** 2 < 25] = (240, 30, 60)
    return pixels.clip(0, 255).astype(np.uint8)


RGB = photograph()
GRAY = RGB[:, :, 1].copy()


def pnm(pixels):
    """Pixels of 8 or 16 bits as a PGM or PPM."""
    if pixels is None:
        return b""
    kind = 5 if pixels.ndim == 2 else 6
    top = 255 if pixels.dtype == np.uint8 else 65535
    head = b"P%d\n%d %d\n%d\n" % (kind, pixels.shape[1], pixels.shape[0], top)
    return head + pixels.astype(pixels.dtype.newbyteorder(">")).tobytes()


def add(name, file, pixels):
    records.append((name, file, pixels if isinstance(pixels, bytes) else pnm(pixels)))


def path(name, content=None):
    name = os.path.join(WORK, name)
    if content is not None:
        with open(name, "wb") as out:
            out.write(content)
    return name


def read(name):
    with open(name, "rb") as file:
        return file.read()


# JPEG


def djpeg(file):
    """What djpeg makes of a file, nothing if it warns."""
    found = subprocess.run(["djpeg", "-pnm"], input=file, capture_output=True)
    return b"" if found.returncode or found.stderr else found.stdout


def cjpeg(*arguments, script=None, source=RGB):
    if script:
        arguments += ("-scans", path("script", script.encode()))
    command = ["cjpeg", *arguments, path("source", pnm(source))]
    found = subprocess.run(command, capture_output=True)
    return None if found.returncode else found.stdout


SCRIPTS = {
    "interleaved": None,
    "one by one": "0;\n1;\n2;\n",
    "luma, chroma": "0;\n1 2;\n",
    "two, one": "0 1;\n2;\n",
    "backwards": "2;\n1;\n0;\n",
}
SPECTRAL = "".join(f"{c}: 0-0, 0, 0;\n{c}: 1-9, 0, 0;\n{c}: 10-63, 0, 0;\n" for c in range(3))
REFINED = (
    "0 1 2: 0-0, 0, 2;\n0: 1-5, 0, 3;\n2: 1-63, 0, 1;\n1: 1-63, 0, 2;\n0: 6-63, 0, 3;\n0: 1-63, 3, 2;\n"
    "0 1 2: 0-0, 2, 1;\n1: 1-63, 2, 1;\n0: 1-63, 2, 1;\n1: 1-63, 1, 0;\n2: 1-63, 1, 0;\n0 1 2: 0-0, 1, 0;\n"
    "0: 1-63, 1, 0;\n"
)
PROGRESSIVE = {"progressive": None, "spectral": SPECTRAL, "refined": REFINED}


def add_jpegs():
    samplings = [f"{h}x{v},1x1,1x1" for h in (1, 2, 3, 4) for v in (1, 2, 3, 4)]
    samplings += ["1x1,2x2,1x1", "2x2,2x1,1x2", "4x1,2x1,1x1", "2x4,1x2,1x1", "3x2,1x2,3x1", "2x1,2x1,2x1"]
    for sampling in samplings:
        for name, script in (SCRIPTS | PROGRESSIVE).items():
            for restart in (0, 2):
                arguments = ["-quality", "85", "-optimize", "-sample", sampling]
                arguments += ["-progressive"] if name == "progressive" else []
                arguments += ["-restart", f"{restart}B"] if restart else []
                file = cjpeg(*arguments, script=script)
                if file:
                    add(f"jpeg {sampling} {name} restart {restart}", file, djpeg(file))
    for quality in (5, 30, 100):
        file = cjpeg("-quality", str(quality))
        add(f"jpeg quality {quality}", file, djpeg(file))
    for name, arguments in {"gray": ["-grayscale"], "rgb": ["-rgb"], "arithmetic": ["-arithmetic"]}.items():
        file = cjpeg(*arguments)
        add(f"jpeg {name}", file, b"" if name == "arithmetic" else djpeg(file))
    for width, height in ((8, 8), (9, 17), (16, 16), (33, 8)):
        file = cjpeg("-sample", "2x2,1x1,1x1", source=photograph(width, height))
        add(f"jpeg {width} x {height}", file, djpeg(file))


def add_damaged_jpegs():
    """Where djpeg gives pixels without a warning, ours are those or none: the test knows these by their name."""
    choice = random.Random(7)
    whole = [
        cjpeg("-optimize", *arguments)
        for arguments in (["-restart", "1"], ["-progressive"], ["-sample", "2x1,1x1,1x1"], ["-sample", "1x1,1x1,1x1"])
    ]
    for number in range(240):
        file = bytearray(whole[number % 4])
        start = choice.randrange(2, len(file))
        kind = choice.choice(["cut", "zeros", "gap", "bit", "byte"])
        if kind == "cut":
            file[start:] = b"\xff\xd9"
        elif kind == "zeros":
            end = min(len(file) - 2, start + choice.randrange(1, 90))
            file[start:end] = bytes(max(0, end - start))
        elif kind == "gap":
            del file[start : start + choice.randrange(1, 60)]
        elif kind == "bit":
            file[start] ^= 1 << choice.randrange(8)
        else:
            file[start] = choice.randrange(256)
        file = bytes(file)
        add(f"damaged jpeg {number} {kind}", file, djpeg(file))


# TIFF


def spread(pixels, bits):
    """Samples of so many bits at the full scale of 8 or 16."""
    full, kind = (255, np.uint8) if bits <= 8 else (65535, np.uint16)
    top = (1 << bits) - 1
    return ((pixels.astype(np.int64) * full + top // 2) // top).astype(kind)


def tiff(pixels, **options):
    out = io.BytesIO()
    tifffile.imwrite(out, pixels, metadata=None, **options)
    return out.getvalue()


def tiffcp(file, *arguments):
    source, target = path("in.tif", file), path("out.tif")
    subprocess.run(["tiffcp", *arguments, source, target], check=True, capture_output=True)
    return read(target)


def packed_tiff(pixels, bits, tags=()):
    """Samples of any number of bits, which libraries do not write."""
    height, width = pixels.shape
    digits = (pixels[:, :, None] >> np.arange(bits - 1, -1, -1)) & 1
    data = np.packbits(digits.reshape(height, -1).astype(np.uint8), axis=1).tobytes()
    tags = {256: width, 257: height, 258: bits, 259: 1, 262: 1, 273: 8, 277: 1, 278: height, 279: len(data)} | dict(tags)
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in sorted(tags.items()))
    directory = struct.pack("<H", len(tags)) + entries + bytes(4)
    return b"II*\0" + struct.pack("<I", 8 + len(data)) + data + directory


def pillow_rgb(file):
    """libtiff's pixels."""
    return np.asarray(Image.open(io.BytesIO(file)).convert("RGB"))


def add_tiffs():
    wide = RGB.astype(np.uint16) * 251 + 7
    gray_wide = wide[:, :, 1].copy()
    sources = {"rgb": RGB, "gray": GRAY, "rgb16": wide, "gray16": gray_wide}
    layouts = {"strip": {}, "strips": {"rowsperstrip": 5}, "tiles": {"tile": (16, 16)}}
    for order in "<>":
        for compression in (None, "lzw", "zlib", "packbits"):
            for source, pixels in sources.items():
                for layout, options in layouts.items():
                    for predictor in (False, True):
                        if predictor and compression not in ("lzw", "zlib"):
                            continue
                        file = tiff(pixels, byteorder=order, compression=compression, predictor=predictor, **options)
                        name = f"tiff {order} {compression} {source} {layout} predictor {predictor}"
                        add(name, file, pixels)
    for compression in (None, "lzw", "zlib"):
        for layout, options in layouts.items():
            for source in (RGB, wide):
                planes = np.moveaxis(source, -1, 0).copy()
                options = options | {"planarconfig": "separate", "photometric": "rgb"}
                add(f"tiff planar {compression} {layout} {source.dtype}", tiff(planes, compression=compression, **options), source)
    for source, pixels in sources.items():
        add(f"tiff big {source}", tiff(pixels, bigtiff=True), pixels)
        add(f"tiff inverted {source}", tiff(pixels, photometric="miniswhite"), ~pixels) if pixels.ndim == 2 else None
    for bits in range(1, 17):
        pixels = (gray_wide >> (16 - bits)).astype(np.uint16)
        add(f"tiff packed {bits}", packed_tiff(pixels, bits) if bits != 16 else tiff(pixels), spread(pixels, bits))
    ones = GRAY > 128
    add("tiff one bit", tiff(ones, photometric="minisblack"), spread(ones.astype(np.uint8), 1))
    for arguments in (["-c", "g4"], ["-c", "lzw"], ["-c", "packbits"], ["-c", "zip"], ["-c", "none"]):
        for order in ("msb2lsb", "lsb2msb"):
            bilevel = tiff(ones, photometric="minisblack")
            file = tiffcp(bilevel, *arguments, "-f", order, "-r", "10")
            add(f"tiff one bit {arguments[1]} {order}", file, spread(ones.astype(np.uint8), 1))
            if arguments[1] != "g4":
                add(f"tiff gray {arguments[1]} {order}", tiffcp(tiff(GRAY), *arguments, "-f", order), GRAY)
    for number in range(12):
        generator = np.random.default_rng(number)
        noise = generator.random((HEIGHT, WIDTH)) < (number + 1) / 13
        noise[number % 5 :: 5] = number % 2
        file = tiffcp(tiff(noise, photometric="minisblack"), "-c", "g4", "-r", "9")
        add(f"tiff g4 noise {number}", file, spread(noise.astype(np.uint8), 1))
    for arguments in (["-c", "jpeg"], ["-c", "jpeg:r"]):
        for layout in (["-r", "16"], ["-r", "32"], ["-t", "-w", "16", "-l", "16"]):
            file = tiffcp(tiff(RGB), *arguments, *layout)
            add(f"tiff {arguments[1]} {' '.join(layout)}", file, pillow_rgb(file))
        add(f"tiff gray {arguments[1]}", file := tiffcp(tiff(GRAY), "-c", "jpeg", "-r", "8"), np.asarray(Image.open(io.BytesIO(file))))
    alpha = np.linspace(1, 255, WIDTH * HEIGHT).reshape(HEIGHT, WIDTH).astype(np.uint8)
    for source, pixels in {"rgb": RGB, "gray": GRAY}.items():
        layered = np.dstack([pixels, alpha])
        photometric = "rgb" if source == "rgb" else "minisblack"
        add(f"tiff {source} alpha", tiff(layered, photometric=photometric, extrasamples=["unassalpha"]), pixels)
        top = alpha.astype(int) if source == "gray" else alpha[:, :, None].astype(int)
        multiplied = (pixels * top + 127) // 255
        divided = ((multiplied * 255 + top // 2) // top).clip(0, 255).astype(np.uint8)
        layered = np.dstack([multiplied.astype(np.uint8), alpha])
        add(f"tiff {source} premultiplied", tiff(layered, photometric=photometric, extrasamples=["assocalpha"]), divided)
    palette = np.random.default_rng(3).integers(0, 256, (3, 256)).astype(np.uint16)
    colors = palette[:, GRAY].transpose(1, 2, 0).astype(np.uint8)
    add("tiff palette", tiff(GRAY, photometric="palette", colormap=palette * 257), colors)
    out = io.BytesIO()
    with tifffile.TiffWriter(out) as writer:
        writer.write(RGB[::2, ::2], subfiletype=1, metadata=None, photometric="rgb")
        writer.write(RGB, metadata=None, photometric="rgb")
        writer.write(RGB[::-1], metadata=None, photometric="rgb")
    add("tiff thumbnail first", out.getvalue(), RGB)
    for name, pixels, options in (
        ("float", GRAY.astype(np.float32) / 255, {}),
        ("signed", GRAY.astype(np.int16), {}),
        ("32 bits", GRAY.astype(np.uint32), {}),
        ("cielab", RGB, {"photometric": "cielab"}),
        ("lzma", RGB, {"compression": "lzma"}),
        ("zstd", RGB, {"compression": "zstd"}),
        ("webp", RGB, {"compression": "webp"}),
        ("jpeg 2000", RGB, {"compression": "jpeg2000"}),
        ("raw", GRAY, {"photometric": "cfa"}),
    ):
        add(f"tiff refused {name}", tiff(pixels, **options), None)
    for compression in ("g3:1d", "g3:2d"):
        add(f"tiff refused {compression}", tiffcp(tiff(ones, photometric="minisblack"), "-c", compression), None)


# PNG, BMP, WebP, PNM


def saved(image, kind, **options):
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def add_others():
    gray, rgb = Image.fromarray(GRAY), Image.fromarray(RGB)
    wide = Image.fromarray(GRAY.astype(np.uint16) * 251)
    ones = gray.point(lambda value: 255 * (value > 128)).convert("1", dither=0)
    alpha = Image.fromarray(np.dstack([RGB, GRAY]))
    for kind in ("PNG", "BMP", "TIFF"):
        for name, image in {"gray": gray, "rgb": rgb, "one bit": ones, "palette": rgb.quantize(13)}.items():
            # BMP has no grey: it is a palette there.
            mode = "L" if name in ("gray", "one bit") and kind != "BMP" else "RGB"
            add(f"{kind} {name}", saved(image, kind), np.asarray(image.convert(mode)))
    for colors in (2, 4, 16, 200):
        image = rgb.quantize(colors)
        for bits in (1, 2, 4, 8):
            if colors <= 1 << bits:
                add(f"PNG palette {colors} {bits}", saved(image, "PNG", bits=bits), np.asarray(image.convert("RGB")))
    add("PNG gray16", saved(wide, "PNG"), np.asarray(wide))
    add("PNG rgba", saved(alpha, "PNG"), RGB)
    add("BMP rgba", saved(alpha, "BMP"), RGB)
    add("PPM", saved(rgb, "PPM"), RGB)
    add("PGM", saved(gray, "PPM"), GRAY)
    add("PGM 16", saved(wide, "PPM"), np.asarray(wide))
    top = 1023
    tens = (GRAY.astype(int) * top // 255).astype(">u2")
    add("PGM 1023", b"P5\n%d %d\n1023\n" % (WIDTH, HEIGHT) + tens.tobytes(), spread(tens, 10))
    add("PBM", saved(ones, "PPM"), np.asarray(ones.convert("L")))
    add("PPM text", b"P3 %d %d 255\n" % (WIDTH, HEIGHT) + " ".join(map(str, RGB.flat)).encode(), RGB)
    add("WebP lossless", saved(rgb, "WEBP", lossless=True), RGB)
    for quality in (30, 80):
        file = saved(rgb, "WEBP", quality=quality)
        add(f"WebP lossy {quality}", file, np.asarray(Image.open(io.BytesIO(file)).convert("RGB")))


add_jpegs()
add_damaged_jpegs()
add_tiffs()
add_others()
stream = bytearray()
for name, file, pixels in records:
    stream += struct.pack("<H", len(name)) + name.encode()
    stream += struct.pack("<I", len(file)) + file + struct.pack("<I", len(pixels)) + pixels
with open(os.path.join(os.path.dirname(__file__), "grid.z"), "wb") as out:
    out.write(zlib.compress(bytes(stream), 9))
print(len(records), "records")
