//! Drawn photographs of turned flanges on a conveyor belt, the same bits on every platform.

mod defect;
mod light;
mod noise;

pub use defect::Defect;

use crate::image::{Mask, Picture};
use crate::random::Random;
use defect::Place;
use noise::{Noise, between, length};

/// All lengths are pixels of a photograph with this side.
const SIDE: f32 = 256.0;
const RADIUS: f32 = 97.0;
const HUB: f32 = 47.0;
const BORE: f32 = 28.0;
const BOLT_CIRCLE: f32 = 69.0;
const BOLT: f32 = 9.0;
const HALF_ROOT_3: f32 = 0.866_025_4;
const BOLT_DIRECTIONS: [[f32; 2]; 6] = [
    [1.0, 0.0],
    [0.5, HALF_ROOT_3],
    [-0.5, HALF_ROOT_3],
    [-1.0, 0.0],
    [-0.5, -HALF_ROOT_3],
    [0.5, -HALF_ROOT_3],
];

/// The photograph number `number` of a part of `side` x `side` pixels, and the mask of its defect.
pub fn draw(defect: Option<Defect>, number: u64, side: usize) -> (Picture, Mask) {
    let (pixels, marks) = render(defect, number, side);
    let picture = Picture::from_rgb(side, side, pixels).expect("the buffer was filled for this size");
    (picture, Mask { width: side, height: side, data: marks })
}

/// The pixels, red, green and blue, and which of them belong to the defect.
fn render(defect: Option<Defect>, number: u64, side: usize) -> (Vec<u8>, Vec<bool>) {
    let part = Part::new(defect, number);
    let scale = SIDE / side as f32;
    let mut sensor = Random::new(number, 2);
    let mut pixels = Vec::with_capacity(side * side * 3);
    let mut marks = Vec::with_capacity(side * side);
    for y in 0..side {
        for x in 0..side {
            let at = [(x as f32 + 0.5) * scale, (y as f32 + 0.5) * scale];
            // A camera's gamma, about; the noise of light is then the same everywhere.
            let values =
                part.color(at).map(|light| light.max(0.0).sqrt() + between(&mut sensor, -0.016, 0.016));
            pixels.extend(values.map(|value| (value * 255.0).round().clamp(0.0, 255.0) as u8));
            marks.push(part.defect_cover(part.to_part(at)) > 0.25);
        }
    }
    (pixels, marks)
}

/// One part under the camera.
struct Part {
    noise: Noise,
    center: [f32; 2],
    /// Cosine and sine of its small rotation.
    turn: [f32; 2],
    /// How far the belt has moved.
    belt: f32,
    brightness: f32,
    defect: Option<(Defect, Place)>,
}

impl Part {
    fn new(defect: Option<Defect>, number: u64) -> Self {
        let mut random = Random::new(number, 1);
        let t = between(&mut random, -0.015, 0.015);
        Self {
            noise: Noise(random.next_u64()),
            center: [between(&mut random, 126.0, 130.0), between(&mut random, 126.0, 130.0)],
            turn: [(1.0 - t * t) / (1.0 + t * t), 2.0 * t / (1.0 + t * t)],
            belt: between(&mut random, 0.0, 1000.0),
            brightness: between(&mut random, 0.96, 1.04),
            defect: defect.map(|kind| (kind, Place::new(kind, &mut random))),
        }
    }

    /// Position in the photograph to position on the part, its centre the origin.
    fn to_part(&self, [x, y]: [f32; 2]) -> [f32; 2] {
        self.rotate([x - self.center[0], y - self.center[1]])
    }

    fn rotate(&self, [x, y]: [f32; 2]) -> [f32; 2] {
        [x * self.turn[0] + y * self.turn[1], y * self.turn[0] - x * self.turn[1]]
    }

    /// Signed distance from the metal's edge, negative inside.
    fn outside(&self, position: [f32; 2]) -> f32 {
        let r = length(position);
        let mut outside = (r - RADIUS).max(BORE - r);
        if let Some((_, distance)) = self.nearest_hole(position) {
            outside = outside.max(BOLT - distance);
        }
        match &self.defect {
            Some((Defect::Chip, place)) => outside.max(-self.chip_edge(place, position)),
            _ => outside,
        }
    }

    /// The hole that `position` is nearest to: offset from its centre and distance. `None` where it was not
    /// drilled.
    fn nearest_hole(&self, position: [f32; 2]) -> Option<([f32; 2], f32)> {
        let holes = (0..BOLT_DIRECTIONS.len()).filter_map(|hole| {
            let center = self.hole(hole)?;
            let offset = [position[0] - center[0], position[1] - center[1]];
            Some((offset, length(offset)))
        });
        holes.min_by(|a, b| a.1.total_cmp(&b.1))
    }

    /// Where hole number `hole` was drilled.
    fn hole(&self, hole: usize) -> Option<[f32; 2]> {
        let planned = BOLT_DIRECTIONS[hole].map(|v| v * BOLT_CIRCLE);
        match &self.defect {
            Some((Defect::MissingHole, place)) if place.hole == hole => None,
            Some((Defect::MisplacedHole, place)) if place.hole == hole => Some(place.drilled()),
            _ => Some(planned),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_number_gives_the_same_part_and_another_number_another() {
        assert_eq!(draw(None, 3, 64), draw(None, 3, 64));
        assert_ne!(draw(None, 3, 64).0, draw(None, 4, 64).0);
    }

    #[test]
    fn good_parts_have_no_mask_and_defective_ones_have() {
        assert!(draw(None, 1, 128).1.data.iter().all(|&marked| !marked));
        for number in 0..20 {
            for defect in Defect::ALL {
                let marked = draw(Some(defect), number, 128).1.data.iter().filter(|&&marked| marked).count();
                assert!((8..1500).contains(&marked), "{defect:?} {number}: {marked} pixels");
            }
        }
    }

    #[test]
    fn a_defect_changes_the_photograph_where_the_mask_says() {
        for defect in Defect::ALL {
            let ((good, _), (bad, marks)) = (render(None, 7, 128), render(Some(defect), 7, 128));
            let changes = |at: &usize| good[3 * at..][..3] != bad[3 * at..][..3];
            let (inside, outside): (Vec<_>, Vec<_>) = (0..marks.len()).partition(|&at| marks[at]);
            let share = |pixels: &[usize]| {
                pixels.iter().filter(|at| changes(at)).count() as f64 / pixels.len() as f64
            };
            assert!(share(&inside) > 0.5, "{defect:?}: {} of its pixels", share(&inside));
            assert!(share(&outside) < 0.01, "{defect:?}: {} of the others", share(&outside));
        }
    }
}
