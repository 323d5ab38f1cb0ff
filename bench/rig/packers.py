"""The ways to make a night's frames smaller, ours and everyone's, on the same files."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from transfer.codecs.base import Codec
from transfer.codecs.nfz import Nfz
from transfer.codecs.rice import Rice
from transfer.structure import scan

OURS = {"nfz": Nfz(), "rice": Rice()}


class Packers:
    """Packs and unpacks files (`frame*.fits` in a directory of their own); each way writes beside them, file by file.

    Every way reads the files anew and writes whole files; sizes are those of its last run.
    """

    def __init__(self, files: Sequence[Path]) -> None:
        self.files = list(files)
        self.size = sum(path.stat().st_size for path in self.files)

    def packed(self, name: str) -> int:
        """Bytes that a way made of all files."""
        return sum(self._target(path, name).stat().st_size for path in self.files)

    def ours(self, name: str, threads: int = 1) -> None:
        """`nfz` or `rice`."""
        codec: Codec = Nfz(threads) if threads > 1 else OURS[name]
        for path in self.files:
            with self._target(path, name).open("wb") as sink:
                codec.encode(path, sink, scratch=path.parent)

    def ours_back(self, name: str) -> None:
        """The way back of `ours`."""
        for path in self.files:
            with self._target(path, name).open("rb") as file, path.with_suffix(".back").open("wb") as sink:
                OURS[name].decode(file, sink, size=path.stat().st_size, scratch=path.parent)

    def same(self) -> bool:
        """Whether what came back last is what there was."""
        return all(path.with_suffix(".back").read_bytes() == path.read_bytes() for path in self.files)

    def fpack(self) -> None:
        """All files in one process."""
        for path in self.files:
            path.with_name(path.name + ".fz").unlink(missing_ok=True)
        subprocess.run(["fpack", "-r", *map(str, self.files)], check=True, capture_output=True)

    def funpack(self) -> None:
        """The way back of `fpack`, all files in one process."""
        for path in self.files:
            path.with_name("un" + path.name).unlink(missing_ok=True)
        names = [f"{path.name}.fz" for path in self.files]
        directory = self.files[0].parent  # the prefix would go before the directory
        subprocess.run(["funpack", "-P", "un", *names], check=True, capture_output=True, cwd=directory)

    def fitsio(self, kind: str) -> None:
        """fitsio's compression, one tile per row; `kind` is fitsio_rice or fitsio_gzip2."""
        import fitsio

        compress = {"fitsio_rice": "RICE_1", "fitsio_gzip2": "GZIP_2"}[kind]
        for path in self.files:
            with (
                fitsio.FITS(str(path)) as source,
                fitsio.FITS(str(self._target(path, kind)), "rw", clobber=True) as out,
            ):
                for hdu in source:
                    pixels = hdu.read() if hdu.has_data() else None
                    options = {} if pixels is None else {"compress": compress, "tile_dims": [1, pixels.shape[-1]]}
                    out.write(pixels, header=hdu.read_header(), **options)

    def astropy(self) -> None:
        """astropy's CompImageHDU, one tile per row."""
        from astropy.io import fits

        for path in self.files:
            with fits.open(path, do_not_scale_image_data=True) as source:
                out = [fits.PrimaryHDU()]
                for hdu in source:
                    if hdu.data is not None:
                        out.append(fits.CompImageHDU(hdu.data, hdu.header, compression_type="RICE_1"))
                fits.HDUList(out).writeto(self._target(path, "astropy_rice"), overwrite=True)

    def zstd(self) -> None:
        """zstd at level 3, without knowing what the bytes mean."""
        import zstandard

        for path in self.files:
            self._target(path, "zstd_3").write_bytes(zstandard.ZstdCompressor(level=3).compress(path.read_bytes()))

    def jpegls(self) -> None:
        """JPEG-LS (CharLS) of each image's 16-bit pixels, headers as they are."""
        import imagecodecs

        for path in self.files:
            data = path.read_bytes()
            with self._target(path, "jpegls").open("wb") as out:
                for span in scan(path).hdus:
                    out.write(data[span.header_offset : span.data_offset])
                    if span.is_image:
                        pixels = np.frombuffer(data, ">i2", span.data_size // 2, span.data_offset).astype(np.int16)
                        image = pixels.view(np.uint16) ^ np.uint16(0x8000)
                        out.write(imagecodecs.jpegls_encode(image.reshape(-1, span.shape[-1])))

    def others(self) -> dict[str, Callable[[], None]]:
        """Everybody else's ways to pack, by the names that `packed` knows them by."""
        return {
            "fitsio_rice": lambda: self.fitsio("fitsio_rice"),
            "fitsio_gzip2": lambda: self.fitsio("fitsio_gzip2"),
            "astropy_rice": self.astropy,
            "zstd_3": self.zstd,
            "jpegls": self.jpegls,
        }

    @staticmethod
    def _target(path: Path, name: str) -> Path:
        return path.with_name(f"{path.name}.fz") if name == "fpack" else path.with_suffix(f".{name}")
