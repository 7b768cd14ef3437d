"""Makes tests/data/images: small pictures of every kind that decode_image() reads, and
expected.json, the size and the SHA-256 of the RGB pixels that Pillow gives for each.

    python tests/data/make_images.py

Needs numpy and Pillow. What it made is committed; it is run again only to add a picture.
"""

import hashlib
import io
import json
import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

OUT = Path(__file__).parent / "images"
WIDTH, HEIGHT = 24, 16


def scene() -> np.ndarray:
    """A picture that no turn or mirror leaves unchanged: colours run, one corner is red."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    rgb = np.stack([x * 10, y * 15, (x + y) * 6], axis=2)
    rgb[:5, :7] = (220, 20, 30)
    return rgb.astype(np.uint8)


def png(width, height, depth, colour_type, rows, extra=(), interlace=0) -> bytes:
    """A PNG with exactly these bytes in its rows: what Pillow does not write itself."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, interlace)
    data = zlib.compress(b"".join(b"\0" + row for row in rows), 9)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + b"".join(chunk(*e) for e in extra)
        + chunk(b"IDAT", data)
        + chunk(b"IEND", b"")
    )


def adam7(pixels: np.ndarray) -> list[bytes]:
    """The rows of the seven passes of an interlaced PNG (PNG specification, 8.2)."""
    starts = [
        (0, 0, 8, 8),
        (4, 0, 8, 8),
        (0, 4, 4, 8),
        (2, 0, 4, 4),
        (0, 2, 2, 4),
        (1, 0, 2, 2),
        (0, 1, 1, 2),
    ]
    return [row.tobytes() for x, y, dx, dy in starts for row in pixels[y::dy, x::dx] if row.size]


def webp_animation(width, height, at, still: bytes) -> bytes:
    """An animation of one frame of WIDTH x HEIGHT, whose chunks are `still`."""

    def u24(value: int) -> bytes:
        return struct.pack("<I", value)[:3]

    def chunk(kind: bytes, data: bytes) -> bytes:
        return kind + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)

    frame = b"".join(map(u24, (at[0] // 2, at[1] // 2, WIDTH - 1, HEIGHT - 1, 100))) + b"\0" + still
    body = (
        b"WEBP"
        + chunk(b"VP8X", b"\x12\0\0\0" + u24(width - 1) + u24(height - 1))  # animated, has alpha
        + chunk(b"ANIM", struct.pack("<IH", 0, 0))
        + chunk(b"ANMF", frame)
    )
    return b"RIFF" + struct.pack("<I", len(body)) + body


def exif(orientation: int) -> bytes:
    data = Image.Exif()
    data[0x0112] = orientation
    return data.tobytes()


def on_white(rgba: np.ndarray) -> np.ndarray:
    colour, alpha = rgba[..., :3].astype(int), rgba[..., 3:].astype(int)
    return ((colour * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)


def main() -> None:
    OUT.mkdir(exist_ok=True)
    expected = {}

    def keep(name: str, data: bytes, pixels: np.ndarray | None = None) -> None:
        """Writes a picture. Its pixels are Pillow's unless they are given."""
        (OUT / name).write_bytes(data)
        if pixels is None:
            pixels = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
        expected[name] = {
            "width": pixels.shape[1],
            "height": pixels.shape[0],
            "sha256": hashlib.sha256(np.ascontiguousarray(pixels).tobytes()).hexdigest(),
        }

    def save(image: Image.Image, kind: str, **options) -> bytes:
        buffer = io.BytesIO()
        image.save(buffer, kind, **options)
        return buffer.getvalue()

    rgb = scene()
    picture = Image.fromarray(rgb)

    keep("420.jpg", save(picture, "JPEG", quality=90, subsampling=2))
    keep("422.jpg", save(picture, "JPEG", quality=90, subsampling=1))
    keep("444.jpg", save(picture, "JPEG", quality=90, subsampling=0))
    keep("progressive.jpg", save(picture, "JPEG", quality=80, progressive=True))
    keep("grey.jpg", save(picture.convert("L"), "JPEG"))
    cmyk = save(picture.convert("CMYK"), "JPEG")
    keep("cmyk.jpg", cmyk)
    # The same bytes, called YCCK by the last byte of Adobe's segment.
    transform = cmyk.index(b"Adobe") + 11
    keep("ycck.jpg", cmyk[:transform] + b"\2" + cmyk[transform + 1 :])
    keep("rgb-components.jpg", save(picture, "JPEG", keep_rgb=True))
    # How the camera was held for each orientation: the transposition that undoes it.
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_270,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_90,
    }
    for orientation in range(1, 9):
        data = save(picture, "JPEG", quality=90, exif=exif(orientation))
        upright = Image.open(io.BytesIO(data))
        if orientation in undo:
            upright = upright.transpose(undo[orientation])
        keep(f"orientation-{orientation}.jpg", data, np.asarray(upright))

    keep("rgb.png", save(picture, "PNG"))
    keep(
        "rgb16.png",
        png(WIDTH, HEIGHT, 16, 2, [np.stack([row, 255 - row], axis=2).tobytes() for row in rgb]),
        rgb,
    )
    grey = rgb[..., 0]
    keep("grey.png", save(Image.fromarray(grey), "PNG"))
    grey16 = np.stack([grey, 255 - grey], axis=2)  # 16-bit samples whose high bytes are `grey`
    keep(
        "grey16.png",
        png(WIDTH, HEIGHT, 16, 0, [r.tobytes() for r in grey16]),
        np.repeat(grey[..., None], 3, axis=2),
    )
    for depth in (1, 2, 4):
        levels = grey >> (8 - depth)
        packed = [
            np.packbits(np.unpackbits(row[:, None], axis=1)[:, 8 - depth :].ravel()).tobytes()
            for row in levels
        ]
        shown = (levels * (255 // (2**depth - 1))).astype(np.uint8)
        keep(
            f"grey{depth}.png",
            png(WIDTH, HEIGHT, depth, 0, packed),
            np.repeat(shown[..., None], 3, axis=2),
        )
    keep("palette.png", save(picture.quantize(16), "PNG"))
    keep("interlaced.png", png(WIDTH, HEIGHT, 8, 2, adam7(rgb), interlace=1), rgb)
    alpha = (np.arange(WIDTH * HEIGHT).reshape(HEIGHT, WIDTH, 1) % 256).astype(np.uint8)
    rgba = np.concatenate([rgb, alpha], axis=2)
    keep("rgba.png", save(Image.fromarray(rgba), "PNG"), on_white(rgba))
    grey_alpha = np.concatenate([grey[..., None], alpha], axis=2)
    keep(
        "grey-alpha.png",
        png(WIDTH, HEIGHT, 8, 4, [r.tobytes() for r in grey_alpha]),
        on_white(np.concatenate([np.repeat(grey[..., None], 3, axis=2), alpha], axis=2)),
    )
    keep(
        "rgba16.png",
        png(WIDTH, HEIGHT, 16, 6, [np.stack([r, 255 - r], axis=2).tobytes() for r in rgba]),
        on_white(rgba),
    )
    keep(
        "interlaced-alpha.png",
        png(WIDTH, HEIGHT, 8, 6, adam7(rgba), interlace=1),
        on_white(rgba),
    )
    # tRNS: the grey of the corner, or its red, is transparent.
    no_grey = np.repeat(grey[..., None], 3, axis=2)
    no_grey[grey == 220] = 255
    keep(
        "grey-key.png",
        png(WIDTH, HEIGHT, 8, 0, [r.tobytes() for r in grey], extra=[(b"tRNS", b"\0\xdc")]),
        no_grey,
    )
    see_through = rgb.copy()
    see_through[:5, :7] = 255
    keep(
        "colour-key.png",
        png(
            WIDTH,
            HEIGHT,
            8,
            2,
            [r.tobytes() for r in rgb],
            extra=[(b"tRNS", struct.pack(">HHH", 220, 20, 30))],
        ),
        see_through,
    )
    palette = save(picture.quantize(8), "PNG", transparency=bytes([0, 128, 255]))
    keep(
        "palette-alpha.png",
        palette,
        on_white(np.asarray(Image.open(io.BytesIO(palette)).convert("RGBA"))),
    )

    frame = picture.quantize(32)
    keep("still.gif", save(frame, "GIF"))
    keep(
        "animated.gif",
        save(
            frame, "GIF", save_all=True, append_images=[frame.transpose(Image.Transpose.ROTATE_180)]
        ),
    )
    hole = save(frame, "GIF", transparency=frame.getpixel((0, 0)))
    keep(
        "transparent.gif", hole, on_white(np.asarray(Image.open(io.BytesIO(hole)).convert("RGBA")))
    )

    keep("rgb.bmp", save(picture, "BMP"))
    keep("palette.bmp", save(picture.quantize(64), "BMP"))
    bilevel = Image.fromarray(((grey > 100) * 255).astype(np.uint8)).convert("1")
    keep("bilevel.bmp", save(bilevel, "BMP"))
    # 32 bits a pixel, rows from the top down; the fourth byte is no alpha in this header.
    bgrx = np.concatenate([rgb[..., ::-1], alpha], axis=2).tobytes()
    keep(
        "bgrx-top-down.bmp",
        b"BM"
        + struct.pack("<IHHI", 54 + len(bgrx), 0, 0, 54)
        + struct.pack("<IiiHHIIiiII", 40, WIDTH, -HEIGHT, 1, 32, 0, len(bgrx), 0, 0, 0, 0)
        + bgrx,
        rgb,
    )

    keep("lossy.webp", save(picture, "WEBP", quality=80))
    keep("lossless.webp", save(picture, "WEBP", lossless=True))
    for name, lossless in (("lossy-alpha.webp", False), ("lossless-alpha.webp", True)):
        # exact: colours under full transparency are kept.
        data = save(Image.fromarray(rgba), "WEBP", lossless=lossless, exact=True)
        keep(name, data, on_white(np.asarray(Image.open(io.BytesIO(data)))))
    turned = picture.transpose(Image.Transpose.ROTATE_180)
    keep(
        "animated.webp", save(picture, "WEBP", lossless=True, save_all=True, append_images=[turned])
    )

    # An animation whose first frame leaves some of the canvas free, which Pillow does not write.
    still = save(picture, "WEBP", lossless=True)[12:]
    canvas = np.full((HEIGHT + 10, WIDTH + 12, 3), 255, np.uint8)
    canvas[6 : 6 + HEIGHT, 4 : 4 + WIDTH] = rgb
    keep(
        "animated-part.webp",
        webp_animation(canvas.shape[1], canvas.shape[0], (4, 6), still),
        canvas,
    )

    # Large enough to be decoded at a reduced size, upright and lying on its side.
    y, x = np.mgrid[0:240, 0:320]
    waves = [np.sin(x / (9 + 4 * c)) * np.cos(y / (14 - 3 * c)) for c in range(3)]
    wide = Image.fromarray((np.stack(waves, axis=2) * 100 + 128).astype(np.uint8))
    keep("wide.jpg", save(wide, "JPEG", quality=85))
    on_side = wide.transpose(Image.Transpose.ROTATE_90)
    data = save(on_side, "JPEG", quality=85, exif=exif(6))
    keep(
        "wide-on-side.jpg",
        data,
        np.asarray(Image.open(io.BytesIO(data)).transpose(Image.Transpose.ROTATE_270)),
    )

    # Not read by this version; recognised for the sake of the message.
    (OUT / "small.tiff").write_bytes(save(picture.resize((4, 4)), "TIFF"))
    # A picture of 4 x 4 pixels whose data unpack to 1 MiB.
    (OUT / "bomb.png").write_bytes(png(4, 4, 8, 0, [b"\0" * (1 << 20)]))

    (OUT / "expected.json").write_text(json.dumps(expected, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
