//! The overlay as a person reads it: verdict, photograph with tint and boxes, enlarged regions, colour scale.
//!
//! ```text
//! +-----------------------------+
//! | verdict, score, file name   |  banner
//! +------------------+----------+
//! | photograph       | crop 1   |  view and panel; the panel lies below a view that is much wider than high
//! |                  | crop 2   |
//! +------------------+----------+
//! | colour scale                |  legend
//! +-----------------------------+
//! ```

use super::canvas::{Canvas, Lettering, last_part};
use super::{Layers, unit_of_scores};
use embedded_graphics::Drawable;
use embedded_graphics::draw_target::{DrawTarget, DrawTargetExt};
use embedded_graphics::geometry::{OriginDimensions, Point, Size};
use embedded_graphics::mono_font::iso_8859_1::{FONT_8X13_BOLD, FONT_9X15, FONT_10X20};
use embedded_graphics::pixelcolor::{Rgb888, RgbColor};
use embedded_graphics::primitives::{Primitive, PrimitiveStyleBuilder, Rectangle, StrokeAlignment};
use patchcore::image::{ColorScale, Picture};
use patchcore::score::Region;
use patchcore::{Decision, Result, Session, Verdict};
use std::convert::Infallible;
use std::ops::RangeInclusive;
use std::path::Path;

/// The longer side of the view: smaller photographs are enlarged and larger ones reduced.
const VIEW: RangeInclusive<usize> = 680..=1280;
/// No photograph has a shorter side.
const SMALLEST: usize = 8;
/// Room for the banner's lines of 33 characters in large letters and 66 in others.
const MIN_WIDTH: usize = *VIEW.start();
const MARGIN: usize = 10;
const BANNER: usize = 112;
const LEGEND: usize = 76;
/// Width of the panel beside the view, and height of a row of the panel below it.
const PANEL_WIDTH: usize = 640;
const PANEL_HEIGHT: usize = 360;
/// Width of a crop with its margins in the panel below the view, at least: room for its title.
const MIN_CELL: usize = 310;
/// Regions that have a crop.
const CROPS: usize = 4;
/// Height of the line above each crop.
const CROP_TITLE: usize = 22;
/// Regions that have a box; the contour shows all.
const BOXES: usize = 12;
/// Pixels between a region and the outer edge of its box, whose lines take four.
const BOX_MARGIN: f64 = 5.0;

const PAPER: Rgb888 = Rgb888::new(250, 250, 250);
const INK: Rgb888 = Rgb888::BLACK;
/// What a photograph is in the legend, where it is tinted.
const MIDDLE_GRAY: [u8; 3] = [150; 3];

const fn lettering(large: bool, color: Rgb888) -> Lettering<'static> {
    match large {
        true => Lettering { font: &FONT_10X20, factor: 2, color },
        false => Lettering { font: &FONT_10X20, factor: 1, color },
    }
}
const CAPTION: Lettering<'_> = Lettering { font: &FONT_9X15, factor: 1, color: INK };
const TAG: Lettering<'_> = Lettering { font: &FONT_8X13_BOLD, factor: 1, color: INK };

/// Draws what `session` found when it last predicted, on `photograph` of the file `path`.
pub fn draw(path: &Path, photograph: &Picture, verdict: &Verdict, session: &Session) -> Result<Picture> {
    let regions: Vec<Region> = session.regions()?.collect();
    let (width, height) = view_size(photograph.width(), photograph.height());
    let layers = Layers::of(session, width, height)?;
    let view = layers.heat_map()?.overlay(&photograph.frame())?;
    let crops = if photograph.width().max(photograph.height()) > *VIEW.start() {
        regions.len().min(CROPS)
    } else {
        0
    };
    let layout = Layout::new((width, height), crops);

    let mut canvas = Canvas::new(layout.width, layout.height, PAPER);
    draw_banner(&mut canvas, path, verdict, session, regions.len());
    canvas.paste(&view, 0, BANNER);
    let unit = unit_of_scores(session);
    let area = rectangle(0, BANNER, width, height);
    let whole = Part { x: 0, y: 0, width: photograph.width(), height: photograph.height() };
    for (index, region) in regions.iter().enumerate().take(BOXES).rev() {
        draw_box(&mut canvas, area, &whole, &Part::of_region(region), Some(&tag(index, region, unit)));
    }
    for (index, (region, cell)) in regions.iter().zip(&layout.cells).enumerate() {
        draw_crop(&mut canvas, *cell, photograph, region, &tag(index, region, unit))?;
    }
    draw_legend(&mut canvas, &layers.scale, unit);
    canvas.into_picture()
}

/// Width and height of the view of a photograph.
fn view_size(width: usize, height: usize) -> (usize, usize) {
    let longer = width.max(height);
    let side = |pixels: usize| (pixels * longer.clamp(*VIEW.start(), *VIEW.end()) / longer).max(SMALLEST);
    (side(width), side(height))
}

/// Where the parts of a sheet lie.
struct Layout {
    width: usize,
    height: usize,
    /// Where the crops lie, with their titles.
    cells: Vec<Rectangle>,
}

impl Layout {
    fn new((width, height): (usize, usize), crops: usize) -> Self {
        let bare = Self { width: width.max(MIN_WIDTH), height: BANNER + height + LEGEND, cells: Vec::new() };
        if crops == 0 {
            return bare;
        }
        if 3 * height < 2 * width {
            let columns = crops.min(bare.width / MIN_CELL);
            let rows = crops.div_ceil(columns);
            let cells = grid((0, BANNER + height), (bare.width, rows * PANEL_HEIGHT), (columns, rows), crops);
            return Self { height: bare.height + rows * PANEL_HEIGHT, cells, ..bare };
        }
        let columns = if crops > 2 { 2 } else { 1 };
        let cells = grid((width, BANNER), (PANEL_WIDTH, height), (columns, crops.div_ceil(columns)), crops);
        Self { width: (width + PANEL_WIDTH).max(MIN_WIDTH), cells, ..bare }
    }
}

/// The first `count` of `columns` x `rows` cells with margins between them, row by row.
fn grid(
    (left, top): (usize, usize),
    (width, height): (usize, usize),
    (columns, rows): (usize, usize),
    count: usize,
) -> Vec<Rectangle> {
    let (width, height) = (width / columns, height / rows);
    let cell = |index: usize| {
        let (x, y) = (left + index % columns * width, top + index / columns * height);
        rectangle(x + MARGIN, y + MARGIN, width - 2 * MARGIN, height - 2 * MARGIN)
    };
    (0..count).map(cell).collect()
}

fn rectangle(left: usize, top: usize, width: usize, height: usize) -> Rectangle {
    Rectangle::new(Point::new(left as i32, top as i32), Size::new(width as u32, height as u32))
}

/// The verdict in large letters, the numbers, the file. The colours differ in lightness as well.
fn draw_banner(canvas: &mut Canvas, path: &Path, verdict: &Verdict, session: &Session, regions: usize) {
    let (word, back, ink) = match verdict.decision {
        Decision::Anomalous => ("ANOMALOUS", Rgb888::new(255, 176, 0), Rgb888::BLACK),
        Decision::Good => ("good", Rgb888::new(0, 62, 120), Rgb888::WHITE),
        Decision::NoThreshold => ("not judged", Rgb888::new(90, 90, 90), Rgb888::WHITE),
    };
    let width = canvas.size().width;
    fill(canvas, Rectangle::new(Point::zero(), Size::new(width, BANNER as u32)), back);
    let headline = match verdict.threshold_ratio {
        Some(ratio) => format!("{word} {ratio:.2} x threshold"),
        None => word.to_string(),
    };
    let threshold = match session.calibration().image_threshold() {
        Some(threshold) => format!("threshold {threshold:.4}"),
        None => "the model has no threshold".to_string(),
    };
    let mut numbers = format!("score {:.4}, {threshold}", verdict.score);
    if regions > 0 {
        numbers.push_str(&format!(", {}", crate::counted(regions as u64, "region")));
    }
    let small = lettering(false, ink);
    let characters = (width as usize - 2 * MARGIN) / small.character().width as usize;
    let left = MARGIN as i32;
    lettering(true, ink).write(&headline, Point::new(left, 10), canvas);
    small.write(&numbers, Point::new(left, 56), canvas);
    small.write(&last_part(&path.to_string_lossy(), characters), Point::new(left, 82), canvas);
}

/// The colours with their values, as tints of a grey photograph and as in the heat map.
fn draw_legend(canvas: &mut Canvas, scale: &ColorScale, unit: Option<f32>) {
    let (left, top) = (MARGIN as i32, (canvas.size().height as usize - LEGEND + 8) as i32);
    let columns = (MIN_WIDTH - 2 * MARGIN) as i32;
    let value = |share: f32| scale.low() + (scale.high() - scale.low()) * share;
    for x in 0..columns {
        let value = value(x as f32 / (columns - 1) as f32);
        for (y, [r, g, b]) in [(top, scale.color(value)), (top + 10, scale.tint(MIDDLE_GRAY, value))] {
            fill(canvas, Rectangle::new(Point::new(left + x, y), Size::new(1, 10)), Rgb888::new(r, g, b));
        }
    }
    for share in [0.0, 0.25, 0.5, 0.75, 1.0] {
        let label = match unit {
            Some(_) => format!("{} x", 2.0 * share),
            None => format!("{:.3}", value(share)),
        };
        let x = left + (share * (columns - 1) as f32) as i32;
        fill(canvas, Rectangle::new(Point::new(x, top + 20), Size::new(1, 4)), INK);
        let label_width = CAPTION.size(&label).width as i32;
        let label_left = (x - label_width / 2).clamp(left, left + columns - label_width);
        CAPTION.write(&label, Point::new(label_left, top + 25), canvas);
    }
    let text = match unit {
        Some(unit) => {
            format!("1 x is the pixel threshold, {unit:.4}; no tint below {} x", ColorScale::TINT_FROM)
        }
        None => "no pixel threshold: own range of this photograph, tint from its middle".to_string(),
    };
    CAPTION.write(&text, Point::new(left, top + 44), canvas);
}

/// `1: 1.52 x`, or the score itself where there is no pixel threshold.
fn tag(index: usize, region: &Region, unit: Option<f32>) -> String {
    match unit {
        Some(unit) => format!("{}: {:.2} x", index + 1, region.score / unit),
        None => format!("{}: {:.3}", index + 1, region.score),
    }
}

/// A part of a photograph, in its pixels: what a picture shows, or the bounding box of a region.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Part {
    x: usize,
    y: usize,
    width: usize,
    height: usize,
}

impl Part {
    fn of_region(region: &Region) -> Self {
        Self { x: region.x, y: region.y, width: region.width, height: region.height }
    }

    /// The surroundings of this part that a cell shows, and their width and height there. `photograph` and
    /// `cell` are widths and heights too. A small part is enlarged up to four times, one larger than the cell
    /// is reduced, others are shown at full resolution.
    fn surroundings(&self, photograph: (usize, usize), cell: (usize, usize)) -> (Self, (usize, usize)) {
        let room = (cell.0 as f64 / self.width as f64).min(cell.1 as f64 / self.height as f64);
        let scale = if room >= 3.0 { (room / 3.0).floor().min(4.0) } else { (room / 1.1).min(1.0) };
        let axis = |at: usize, length: usize, all: usize, cell: usize| {
            let window = ((cell as f64 / scale) as usize).clamp(SMALLEST, all);
            let first = (at + length / 2).saturating_sub(window / 2).min(all - window);
            (first, window, ((window as f64 * scale).round() as usize).clamp(SMALLEST, cell))
        };
        let (x, width, columns) = axis(self.x, self.width, photograph.0, cell.0);
        let (y, height, rows) = axis(self.y, self.height, photograph.1, cell.1);
        (Self { x, y, width, height }, (columns, rows))
    }
}

/// The untinted photograph around `region`, with a title.
fn draw_crop(
    canvas: &mut Canvas,
    cell: Rectangle,
    photograph: &Picture,
    region: &Region,
    tag: &str,
) -> Result<()> {
    let Region { x, y, width, height, .. } = *region;
    let title = format!("{tag} at {x},{y}, {width}x{height} px");
    CAPTION.write(&title, cell.top_left, &mut canvas.clipped(&cell));
    let room = (cell.size.width as usize, cell.size.height as usize - CROP_TITLE);
    let marked = Part::of_region(region);
    let (shown, (columns, rows)) = marked.surroundings((photograph.width(), photograph.height()), room);
    let part = photograph.frame().crop(shown.x, shown.y, shown.width, shown.height)?;
    let (left, top) = (cell.top_left.x as usize, cell.top_left.y as usize + CROP_TITLE);
    canvas.paste(&Picture::scaled(&part, columns, rows)?, left, top);
    draw_box(canvas, rectangle(left, top, columns, rows), &shown, &marked, None);
    Ok(())
}

/// Draws a box around `marked` in the `area` of the canvas where `shown` is, and a tag above or below it.
fn draw_box(canvas: &mut Canvas, area: Rectangle, shown: &Part, marked: &Part, tag: Option<&str>) {
    let bounds = box_bounds(area, shown, marked);
    let mut target = canvas.clipped(&area);
    // White between two black lines shows on any photograph.
    outline(&mut target, bounds, 4, Rgb888::BLACK);
    outline(&mut target, bounds.offset(-1), 2, Rgb888::WHITE);
    if let Some(tag) = tag {
        let at = tag_bounds(area, bounds, TAG.size(tag) + Size::new(6, 4));
        fill(&mut target, at, Rgb888::WHITE);
        outline(&mut target, at, 1, Rgb888::BLACK);
        TAG.write(tag, at.top_left + Point::new(3, 2), &mut target);
    }
}

/// The outer edge of the box around `marked` in the `area` where `shown` is.
fn box_bounds(area: Rectangle, shown: &Part, marked: &Part) -> Rectangle {
    let axis = |origin: i32, columns: u32, first: usize, pixels: usize, at: usize, length: usize| {
        let scale = f64::from(columns) / pixels as f64;
        let place = |at: usize| (at as f64 - first as f64) * scale;
        let from = (place(at) - BOX_MARGIN).floor() as i32;
        let to = (place(at + length) + BOX_MARGIN).ceil() as i32;
        (origin + from, (to - from) as u32)
    };
    let Part { x, y, width, height } = *shown;
    let (left, columns) = axis(area.top_left.x, area.size.width, x, width, marked.x, marked.width);
    let (top, rows) = axis(area.top_left.y, area.size.height, y, height, marked.y, marked.height);
    Rectangle::new(Point::new(left, top), Size::new(columns, rows))
}

/// Where a tag of `size` lies: above the box where there is room, else below it, else at its upper edge,
/// inside `area` as far as it fits.
fn tag_bounds(area: Rectangle, bounds: Rectangle, size: Size) -> Rectangle {
    let (first, end) = (area.top_left, area.top_left + area.size);
    let height = size.height as i32;
    let (above, below) = (bounds.top_left.y - height, bounds.top_left.y + bounds.size.height as i32);
    let top = match (above >= first.y, below + height <= end.y) {
        (true, _) => above,
        (_, true) => below,
        _ => bounds.top_left.y.min(end.y - height).max(first.y),
    };
    let left = bounds.top_left.x.min(end.x - size.width as i32).max(first.x);
    Rectangle::new(Point::new(left, top), size)
}

fn fill<T: DrawTarget<Color = Rgb888, Error = Infallible>>(target: &mut T, bounds: Rectangle, color: Rgb888) {
    let Ok(()) = target.fill_solid(&bounds, color);
}

/// Draws a line of `width` pixels inside the edge of `bounds`.
fn outline<T>(target: &mut T, bounds: Rectangle, width: u32, color: Rgb888)
where
    T: DrawTarget<Color = Rgb888, Error = Infallible>,
{
    let style = PrimitiveStyleBuilder::new()
        .stroke_color(color)
        .stroke_width(width)
        .stroke_alignment(StrokeAlignment::Inside)
        .build();
    let Ok(()) = bounds.into_styled(style).draw(target);
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZES: [(usize, usize); 10] = [
        (8, 8),
        (680, 480),
        (681, 480),
        (700, 300),
        (800, 600),
        (1130, 460),
        (4096, 3000),
        (3000, 4096),
        (65_535, 8),
        (8, 65_535),
    ];

    #[test]
    fn sheets_are_bounded_and_hold_their_parts() {
        for (size, crops) in SIZES.iter().flat_map(|&size| (0..=CROPS).map(move |crops| (size, crops))) {
            let view = view_size(size.0, size.1);
            let layout = Layout::new(view, crops);
            assert!(layout.width.max(layout.height) <= 2048, "{size:?}: {}x{}", layout.width, layout.height);
            assert_eq!(layout.cells.len(), crops);
            let all = rectangle(0, BANNER, layout.width, layout.height - BANNER - LEGEND);
            let shown = rectangle(0, BANNER, view.0, view.1);
            for (index, cell) in layout.cells.iter().enumerate() {
                assert_eq!(cell.intersection(&all), *cell, "{size:?}: {cell:?}");
                assert!(
                    cell.size.width >= 280 && cell.size.height as usize > CROP_TITLE + SMALLEST,
                    "{cell:?}"
                );
                let others = layout.cells[..index].iter().chain([&shown]);
                others.for_each(|other| {
                    assert!(cell.intersection(other).is_zero_sized(), "{size:?}: {cell:?}")
                });
            }
        }
    }

    #[test]
    fn small_photographs_are_enlarged_and_large_ones_reduced() {
        assert_eq!(view_size(256, 256), (680, 680));
        assert_eq!(view_size(800, 600), (800, 600));
        assert_eq!(view_size(4096, 3000), (1280, 937));
        assert_eq!(view_size(65_535, 8), (1280, 8));
    }

    /// Places of a region in a photograph: corners, middle, single pixels, everything.
    fn parts((width, height): (usize, usize)) -> Vec<Part> {
        let mut parts = vec![Part { x: 0, y: 0, width, height }];
        for (x, y) in
            [(0, 0), (width - 1, 0), (0, height - 1), (width - 1, height - 1), (width / 2, height / 2)]
        {
            parts.push(Part { x, y, width: 1, height: 1 });
            parts.push(Part { x: x / 2, y: y / 2, width: width - x / 2, height: height - y / 2 });
        }
        parts
    }

    #[test]
    fn crops_lie_in_the_photograph_and_hold_the_region() {
        for size in SIZES {
            for (part, cell) in
                parts(size).into_iter().flat_map(|part| [(290, 130), (620, 915)].map(|cell| (part, cell)))
            {
                let (shown, (columns, rows)) = part.surroundings(size, cell);
                assert!(shown.x + shown.width <= size.0 && shown.y + shown.height <= size.1, "{shown:?}");
                assert!(
                    shown.x <= part.x && part.x + part.width <= shown.x + shown.width,
                    "{part:?} {shown:?}"
                );
                assert!(
                    shown.y <= part.y && part.y + part.height <= shown.y + shown.height,
                    "{part:?} {shown:?}"
                );
                assert!((SMALLEST..=cell.0).contains(&columns) && (SMALLEST..=cell.1).contains(&rows));
            }
        }
    }

    #[test]
    fn crops_are_at_full_resolution_unless_the_region_is_small_or_larger_than_the_cell() {
        let shown = |side| {
            let part = Part { x: 500, y: 500, width: side, height: side };
            part.surroundings((4000, 3000), (600, 400))
        };
        let at = |x, y, width, height| Part { x, y, width, height };
        assert_eq!(shown(100), (at(250, 350, 600, 400), (600, 400)));
        assert_eq!(shown(380).1, (600, 400));
        assert_eq!(shown(1), (at(425, 450, 150, 100), (600, 400)), "four times");
        assert_eq!(shown(800), (at(240, 460, 1320, 880), (600, 400)), "reduced by 2.2");
    }

    #[test]
    fn boxes_surround_the_region_and_tags_stay_inside() {
        for size in SIZES {
            let view = view_size(size.0, size.1);
            let area = rectangle(0, BANNER, view.0, view.1);
            let whole = Part { x: 0, y: 0, width: size.0, height: size.1 };
            for part in parts(size) {
                let bounds = box_bounds(area, &whole, &part);
                assert!(bounds.size.width >= 9 && bounds.size.height >= 9, "{bounds:?}");
                assert!(!bounds.intersection(&area).is_zero_sized(), "{size:?}: {part:?}");
                let tag = tag_bounds(area, bounds, Size::new(80, 15));
                let tag_inside = tag.intersection(&area).size;
                let expected = Size::new(80.min(view.0 as u32), 15.min(view.1 as u32));
                assert_eq!(tag_inside, expected, "{size:?}: {part:?}");
                let mut canvas = Canvas::new(view.0, BANNER + view.1, PAPER);
                draw_box(&mut canvas, area, &whole, &part, Some("1: 1.52 x"));
            }
        }
    }

    #[test]
    fn a_box_at_the_middle_of_an_enlarged_photograph() {
        let area = rectangle(10, 20, 640, 640);
        let whole = Part { x: 100, y: 50, width: 320, height: 320 };
        let part = Part { x: 200, y: 60, width: 10, height: 20 };
        let bounds = box_bounds(area, &whole, &part);
        assert_eq!(bounds, rectangle(10 + 200 - 5, 20 + 20 - 5, 20 + 10, 40 + 10));
        assert_eq!(tag_bounds(area, bounds, Size::new(80, 14)), rectangle(205, 21, 80, 14));
        assert_eq!(tag_bounds(area, bounds, Size::new(80, 16)).top_left.y, 35 + 50, "no room above");
    }
}
