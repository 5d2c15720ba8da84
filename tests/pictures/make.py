"""Makes the photographs that the library cannot write itself. Needs Pillow."""
from PIL import Image

W, H = 12, 10
rgb = Image.new("RGB", (W, H), (200, 40, 90))
rgb.convert("CMYK").save("cmyk.jpg", quality=95)
rgb.convert("CMYK").save("cmyk.tif")
palette = Image.new("P", (W, H))
palette.putpalette([10, 20, 30, 200, 40, 90, 0, 0, 255])
palette.putdata([(x + y) % 3 for y in range(H) for x in range(W)])
palette.save("palette.png")
palette.save("palette.bmp")
palette.save("palette.tif")
bits = Image.new("1", (W, H))
bits.putdata([(x + y) % 2 for y in range(H) for x in range(W)])
bits.save("bits.png")
rgb.save("progressive.jpg", progressive=True)
