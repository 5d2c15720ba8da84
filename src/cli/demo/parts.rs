//! Drawn photographs of turned flanges, the same bits on every platform: only `+ - * /` and square roots are used.

use crate::image::{Mask, Picture};

/// All lengths are pixels of a photograph with this side.
const SIDE: f32 = 256.0;
const RADIUS: f32 = 96.0;
const HUB: f32 = 46.0;
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
/// Where the light comes from.
const LIGHT: [f32; 2] = [-0.6, -0.8];

/// What is wrong with a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Defect {
    /// A piece of the rim is broken off.
    Chip,
    /// One of the six holes was not drilled.
    MissingHole,
    /// A straight mark across the ring.
    Scratch,
    /// A dark spot.
    Stain,
}

impl Defect {
    /// All kinds, by name.
    pub const ALL: [Defect; 4] = [Defect::Chip, Defect::MissingHole, Defect::Scratch, Defect::Stain];

    /// The name of its folder.
    pub fn name(self) -> &'static str {
        match self {
            Defect::Chip => "chip",
            Defect::MissingHole => "missing_hole",
            Defect::Scratch => "scratch",
            Defect::Stain => "stain",
        }
    }
}

/// The photograph number `number` of a part of `side` x `side` pixels, and the mask of its defect.
pub fn draw(defect: Option<Defect>, number: u64, side: usize) -> (Picture, Mask) {
    let part = Part::new(defect, number);
    let scale = SIDE / side as f32;
    let mut pixels = Vec::with_capacity(side * side * 3);
    let mut marks = Vec::with_capacity(side * side);
    for y in 0..side {
        for x in 0..side {
            let at = [(x as f32 + 0.5) * scale, (y as f32 + 0.5) * scale];
            let noise = part.noise(&[x as u64, y as u64]) * 0.022;
            let color = part.color(at).map(|value| ((value + noise) * 255.0).round().clamp(0.0, 255.0) as u8);
            pixels.extend(color);
            marks.push(part.defect_cover(part.to_part(at)) > 0.25);
        }
    }
    let picture = Picture::from_rgb(side, side, pixels).expect("the buffer was filled for this size");
    (picture, Mask { width: side, height: side, data: marks })
}

/// One part under the camera.
struct Part {
    seed: u64,
    center: [f32; 2],
    /// Cosine and sine of its small rotation.
    turn: [f32; 2],
    brightness: f32,
    defect: Option<(Defect, Place)>,
}

/// Where a defect lies, in the part's coordinates.
struct Place {
    hole: usize,
    from: [f32; 2],
    to: [f32; 2],
    size: f32,
}

impl Part {
    fn new(defect: Option<Defect>, number: u64) -> Self {
        let mut random = Random(hash(number ^ 0x7061_7274));
        let t = random.between(-0.012, 0.012);
        let mut part = Self {
            seed: random.next(),
            center: [random.between(126.5, 129.5), random.between(126.5, 129.5)],
            turn: [(1.0 - t * t) / (1.0 + t * t), 2.0 * t / (1.0 + t * t)],
            brightness: random.between(0.98, 1.02),
            defect: None,
        };
        part.defect = defect.map(|kind| (kind, Place::new(kind, &mut random)));
        part
    }

    /// Position in the photograph to position on the part, its centre the origin.
    fn to_part(&self, [x, y]: [f32; 2]) -> [f32; 2] {
        let (dx, dy) = (x - self.center[0], y - self.center[1]);
        [dx * self.turn[0] + dy * self.turn[1], dy * self.turn[0] - dx * self.turn[1]]
    }

    fn color(&self, at: [f32; 2]) -> [f32; 3] {
        let position = self.to_part(at);
        let ground = self.ground(at);
        let metal = self.metal(position);
        let cover = self.solid_cover(position);
        let vignette = 1.08 - 0.3 * square(length([at[0] / SIDE - 0.5, at[1] / SIDE - 0.5]));
        std::array::from_fn(|c| (ground[c] * (1.0 - cover) + metal[c] * cover) * vignette * self.brightness)
    }

    /// The dark mat below, and the part's shadow on it.
    fn ground(&self, at: [f32; 2]) -> [f32; 3] {
        let weave = 0.010 * self.smooth_noise(at[0] * 0.5, at[1] * 0.5, 1)
            + 0.014 * self.smooth_noise(at[0] * 0.05, at[1] * 0.05, 2);
        let shadow = length([at[0] - self.center[0] - 5.0, at[1] - self.center[1] - 7.0]) - RADIUS;
        let shade = 1.0 - 0.55 * smoothstep(14.0, -6.0, shadow);
        [0.150, 0.175, 0.215].map(|v| (v + weave) * shade)
    }

    /// Turned steel: rings from the tool, a highlight across them, bevels that catch or lose the light.
    fn metal(&self, position: [f32; 2]) -> [f32; 3] {
        let r = length(position).max(1e-3);
        let toward_light = (position[0] * LIGHT[0] + position[1] * LIGHT[1]) / r;
        let rings = 0.030 * self.smooth_noise(r * 1.7, 0.5, 3) + 0.018 * self.smooth_noise(r * 0.35, 0.5, 4);
        let highlight = 0.20 * square(square(toward_light));
        let hub = if r < HUB { 0.06 } else { 0.0 };
        let bevel =
            0.22 * toward_light * (band(r, RADIUS - 3.5, 3.5) + band(r, HUB, 2.5) - band(r, BORE + 2.0, 2.5));
        let chamfer = self.nearest_hole(position).map_or(0.0, |(offset, distance)| {
            let toward = (offset[0] * LIGHT[0] + offset[1] * LIGHT[1]) / distance.max(1e-3);
            -0.24 * toward * band(distance, BOLT + 1.5, 2.0)
        });
        let value = 0.52 + hub + rings + highlight + bevel + chamfer;
        self.with_surface_defect(position, [value * 0.985, value, value * 1.02])
    }

    fn with_surface_defect(&self, position: [f32; 2], metal: [f32; 3]) -> [f32; 3] {
        let cover = self.defect_cover(position);
        match &self.defect {
            Some((Defect::Scratch, _)) => metal.map(|v| v + (0.90 - v) * 0.75 * cover),
            Some((Defect::Stain, _)) => {
                let tint = [0.26, 0.19, 0.12];
                std::array::from_fn(|c| metal[c] + (tint[c] - metal[c]) * 0.7 * cover)
            }
            _ => metal,
        }
    }

    /// 1 on the part, 0 beside it and in its holes.
    fn solid_cover(&self, position: [f32; 2]) -> f32 {
        let r = length(position);
        let mut inside = cover(r - RADIUS).min(cover(BORE - r));
        if let Some((_, distance)) = self.nearest_hole(position) {
            inside = inside.min(cover(BOLT - distance));
        }
        if let Some((Defect::Chip, _)) = &self.defect {
            inside = inside.min(1.0 - self.defect_cover(position));
        }
        inside
    }

    /// The hole that `position` is nearest to: offset from its centre and distance. `None` where it was not drilled.
    fn nearest_hole(&self, position: [f32; 2]) -> Option<([f32; 2], f32)> {
        let offset = |direction: &[f32; 2]| {
            [position[0] - direction[0] * BOLT_CIRCLE, position[1] - direction[1] * BOLT_CIRCLE]
        };
        let holes = BOLT_DIRECTIONS.iter().map(offset).map(|offset| (offset, length(offset))).enumerate();
        let (index, nearest) = holes.min_by(|a, b| a.1.1.total_cmp(&b.1.1))?;
        match &self.defect {
            Some((Defect::MissingHole, place)) if place.hole == index => None,
            _ => Some(nearest),
        }
    }

    /// How much of the defect is at `position`: 0 to 1.
    fn defect_cover(&self, position: [f32; 2]) -> f32 {
        let Some((kind, place)) = &self.defect else { return 0.0 };
        let wobble = |strength: f32| strength * self.smooth_noise(position[0] * 0.12, position[1] * 0.12, 5);
        let from = length([position[0] - place.from[0], position[1] - place.from[1]]);
        match kind {
            Defect::Chip => cover(from + wobble(4.0) - place.size).min(cover(length(position) - RADIUS)),
            Defect::MissingHole => {
                let [x, y] = BOLT_DIRECTIONS[place.hole].map(|v| v * BOLT_CIRCLE);
                cover(length([position[0] - x, position[1] - y]) - BOLT - 2.5)
            }
            Defect::Scratch => cover(to_segment(position, place.from, place.to) + wobble(0.6) - place.size),
            Defect::Stain => smoothstep(place.size, place.size - 5.0, from + wobble(6.0)),
        }
    }

    /// Lattice noise in [-1, 1], smooth between the points of the lattice.
    fn smooth_noise(&self, x: f32, y: f32, layer: u64) -> f32 {
        let (left, top) = (x.floor(), y.floor());
        let (across, down) = (smoothstep(0.0, 1.0, x - left), smoothstep(0.0, 1.0, y - top));
        let at = |dx: f32, dy: f32| self.noise(&[layer, (left + dx) as i64 as u64, (top + dy) as i64 as u64]);
        let upper = at(0.0, 0.0) + (at(1.0, 0.0) - at(0.0, 0.0)) * across;
        let lower = at(0.0, 1.0) + (at(1.0, 1.0) - at(0.0, 1.0)) * across;
        upper + (lower - upper) * down
    }

    /// Noise of `key` in [-1, 1].
    fn noise(&self, key: &[u64]) -> f32 {
        let seed = key.iter().fold(self.seed, |state, &part| hash(state ^ part));
        Random(seed).between(-1.0, 1.0)
    }
}

impl Place {
    fn new(kind: Defect, random: &mut Random) -> Self {
        let t = random.between(-1.0, 1.0);
        let side = if random.next() >> 63 == 0 { 1.0 } else { -1.0 };
        let direction = [side * (1.0 - t * t) / (1.0 + t * t), 2.0 * t / (1.0 + t * t)];
        let radius = match kind {
            Defect::Chip => RADIUS + 2.0,
            _ => random.between(55.0, 84.0),
        };
        let from = direction.map(|v| v * radius);
        let reach = [random.between(-34.0, 34.0), random.between(14.0, 30.0) * side];
        let size = match kind {
            Defect::Chip => random.between(8.0, 14.0),
            Defect::Scratch => random.between(0.7, 1.3),
            _ => random.between(8.0, 14.0),
        };
        Self {
            hole: random.next() as usize % BOLT_DIRECTIONS.len(),
            from,
            to: [from[0] + reach[0], from[1] + reach[1]],
            size,
        }
    }
}

/// splitmix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        hash(self.0)
    }

    fn between(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * ((self.next() >> 40) as f32 / (1u64 << 24) as f32)
    }
}

fn hash(value: u64) -> u64 {
    let z = (value ^ (value >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

fn square(v: f32) -> f32 {
    v * v
}

fn length([x, y]: [f32; 2]) -> f32 {
    (x * x + y * y).sqrt()
}

/// Share of a pixel that lies inside an edge at signed distance `outside`.
fn cover(outside: f32) -> f32 {
    (0.5 - outside).clamp(0.0, 1.0)
}

/// 1 at `center`, 0 from `width` away on.
fn band(at: f32, center: f32, width: f32) -> f32 {
    (1.0 - (at - center).abs() / width).max(0.0)
}

fn smoothstep(from: f32, to: f32, at: f32) -> f32 {
    let t = ((at - from) / (to - from)).clamp(0.0, 1.0);
    t * t * (3.0 - 2.0 * t)
}

fn to_segment(p: [f32; 2], a: [f32; 2], b: [f32; 2]) -> f32 {
    let (along, to) = ([b[0] - a[0], b[1] - a[1]], [p[0] - a[0], p[1] - a[1]]);
    let share =
        ((to[0] * along[0] + to[1] * along[1]) / (square(along[0]) + square(along[1]))).clamp(0.0, 1.0);
    length([to[0] - along[0] * share, to[1] - along[1] * share])
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
        let (good, _) = draw(None, 7, 128);
        let (stained, mask) = draw(Some(Defect::Stain), 7, 128);
        let pixels = |p: &Picture| p.to_png().unwrap();
        assert_ne!(pixels(&good), pixels(&stained));
        assert!(mask.data.iter().any(|&marked| marked));
    }
}
