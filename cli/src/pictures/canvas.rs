//! Pixels to draw on, for `embedded-graphics`. What lies outside the canvas is left out.

use embedded_graphics::draw_target::DrawTarget;
use embedded_graphics::geometry::{Dimensions, OriginDimensions, Point, Size};
use embedded_graphics::mono_font::{MonoFont, MonoTextStyle};
use embedded_graphics::pixelcolor::{Rgb888, RgbColor};
use embedded_graphics::primitives::Rectangle;
use embedded_graphics::text::{Baseline, Text};
use embedded_graphics::{Drawable, Pixel};
use patchcore::Result;
use patchcore::image::Picture;
use std::convert::Infallible;

/// A picture under way.
pub struct Canvas {
    width: usize,
    rgb: Vec<[u8; 3]>,
}

impl Canvas {
    /// A canvas of one color.
    pub fn new(width: usize, height: usize, color: Rgb888) -> Self {
        Self { width, rgb: vec![[color.r(), color.g(), color.b()]; width * height] }
    }

    fn height(&self) -> usize {
        self.rgb.len() / self.width
    }

    /// Puts `picture`, in 8-bit RGB, with its upper left pixel to column `left` and row `top`.
    pub fn paste(&mut self, picture: &Picture, left: usize, top: usize) {
        let pixels = picture.data().as_chunks().0;
        let columns = picture.width().min(self.width.saturating_sub(left));
        let rows = self.rgb.chunks_exact_mut(self.width).skip(top);
        for (row, pixels) in rows.zip(pixels.chunks_exact(picture.width())) {
            row[self.width.min(left)..][..columns].copy_from_slice(&pixels[..columns]);
        }
    }

    pub fn into_picture(self) -> Result<Picture> {
        let height = self.height();
        Picture::from_rgb(self.width, height, self.rgb.into_flattened())
    }
}

impl OriginDimensions for Canvas {
    fn size(&self) -> Size {
        Size::new(self.width as u32, self.height() as u32)
    }
}

impl DrawTarget for Canvas {
    type Color = Rgb888;
    type Error = Infallible;

    fn draw_iter<I: IntoIterator<Item = Pixel<Rgb888>>>(&mut self, pixels: I) -> Result<(), Infallible> {
        for Pixel(Point { x, y }, color) in pixels {
            let (Ok(x), Ok(y)) = (usize::try_from(x), usize::try_from(y)) else { continue };
            if x < self.width && y < self.height() {
                self.rgb[y * self.width + x] = [color.r(), color.g(), color.b()];
            }
        }
        Ok(())
    }
}

/// A canvas that draws each pixel as a square of `factor` x `factor` pixels.
struct Enlarged<'a, T> {
    target: &'a mut T,
    factor: u32,
}

impl<T: Dimensions> Dimensions for Enlarged<'_, T> {
    fn bounding_box(&self) -> Rectangle {
        let Rectangle { top_left, size } = self.target.bounding_box();
        Rectangle::new(top_left / self.factor as i32, size / self.factor)
    }
}

impl<T: DrawTarget> DrawTarget for Enlarged<'_, T> {
    type Color = T::Color;
    type Error = T::Error;

    fn draw_iter<I: IntoIterator<Item = Pixel<T::Color>>>(&mut self, pixels: I) -> Result<(), T::Error> {
        pixels.into_iter().try_for_each(|Pixel(at, color)| {
            let square = Rectangle::new(at * self.factor as i32, Size::new_equal(self.factor));
            self.target.fill_solid(&square, color)
        })
    }
}

/// Letters of one size and color.
#[derive(Clone, Copy)]
pub struct Lettering<'a> {
    pub font: &'a MonoFont<'a>,
    /// How many times as large as the font.
    pub factor: u32,
    pub color: Rgb888,
}

impl Lettering<'_> {
    /// Width and height of a character.
    pub fn character(&self) -> Size {
        self.font.character_size * self.factor
    }

    /// Width and height of `text`.
    pub fn size(&self, text: &str) -> Size {
        let Size { width, height } = self.character();
        Size::new(width * text.chars().count() as u32, height)
    }

    /// Writes a line of text with its upper left corner at `at`.
    pub fn write<T>(&self, text: &str, at: Point, target: &mut T)
    where
        T: DrawTarget<Color = Rgb888, Error = Infallible>,
    {
        let style = MonoTextStyle::new(self.font, self.color);
        let mut target = Enlarged { target, factor: self.factor };
        let Ok(_) =
            Text::with_baseline(text, at / self.factor as i32, style, Baseline::Top).draw(&mut target);
    }
}

/// `text` in one line of at most `characters`, its beginning left out where it is longer. The font has the
/// characters of ISO 8859-1 and shows others as question marks.
pub fn last_part(text: &str, characters: usize) -> String {
    let line: Vec<char> = text.chars().map(|c| if c.is_control() { '?' } else { c }).collect();
    match line.len() <= characters {
        true => line.into_iter().collect(),
        false => {
            let kept = characters.saturating_sub(3);
            let dots = ['.'; 3].into_iter().take(characters);
            dots.chain(line[line.len() - kept..].iter().copied()).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use embedded_graphics::mono_font::iso_8859_1::FONT_10X20;

    const LARGE: Lettering<'_> = Lettering { font: &FONT_10X20, factor: 2, color: Rgb888::WHITE };

    fn lit(canvas: &Canvas) -> usize {
        canvas.rgb.iter().filter(|&&pixel| pixel == [255; 3]).count()
    }

    #[test]
    fn any_text_can_be_written_anywhere() {
        for text in ["", "plate-ü.png", "a\nb\tc\r\u{0}", "\u{202e}\u{fffd}漢字", &"long".repeat(1000)] {
            let text = last_part(text, 20);
            assert!(text.chars().count() <= 20);
            for at in [-1000, -7, 0, 5, 1000] {
                let mut canvas = Canvas::new(30, 20, Rgb888::BLACK);
                LARGE.write(&text, Point::new(at, at), &mut canvas);
            }
        }
    }

    #[test]
    fn each_character_leaves_a_mark() {
        for text in ["A", "ü", "漢", "\u{7}"] {
            let mut canvas = Canvas::new(20, 40, Rgb888::BLACK);
            LARGE.write(&last_part(text, 1), Point::zero(), &mut canvas);
            assert!(lit(&canvas) > 20, "{text}");
            assert_eq!(lit(&canvas) % 4, 0, "squares of 2 x 2");
        }
    }

    #[test]
    fn long_names_lose_their_beginning() {
        assert_eq!(last_part("folder/000.png", 14), "folder/000.png");
        assert_eq!(last_part("folder/000.png", 10), "...000.png");
        assert_eq!([0, 2].map(|count| last_part("folder/000.png", count)), ["", ".."]);
    }

    #[test]
    fn pictures_are_pasted_as_far_as_they_fit() {
        let white = Picture::from_rgb(8, 8, vec![255; 192]).unwrap();
        for (left, top, expected) in [(0, 0, 64), (6, 9, 4 * 3), (10, 0, 0), (0, 50, 0), (99, 99, 0)] {
            let mut canvas = Canvas::new(10, 12, Rgb888::BLACK);
            canvas.paste(&white, left, top);
            assert_eq!(lit(&canvas), expected, "{left},{top}");
        }
    }
}
