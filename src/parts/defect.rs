//! What is wrong with a part, and where.

use super::noise::{between, cover, length, mix, smoothstep, to_segment};
use super::{BOLT, BOLT_CIRCLE, BOLT_DIRECTIONS, Part, RADIUS};
use crate::random::Random;

/// What is wrong with a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Defect {
    /// A piece of the rim is broken off.
    Chip,
    /// One of the six holes was drilled beside its place.
    MisplacedHole,
    /// One of the six holes was not drilled.
    MissingHole,
    /// A hairline across the ring.
    Scratch,
    /// A film of oil.
    Stain,
}

impl Defect {
    /// All kinds, by name.
    pub const ALL: [Defect; 5] =
        [Defect::Chip, Defect::MisplacedHole, Defect::MissingHole, Defect::Scratch, Defect::Stain];

    /// The name of its folder.
    pub fn name(self) -> &'static str {
        match self {
            Defect::Chip => "chip",
            Defect::MisplacedHole => "misplaced_hole",
            Defect::MissingHole => "missing_hole",
            Defect::Scratch => "scratch",
            Defect::Stain => "stain",
        }
    }
}

/// Where a defect lies, in the part's coordinates.
pub(super) struct Place {
    pub hole: usize,
    /// Its centre, or its beginning.
    pub from: [f32; 2],
    to: [f32; 2],
    pub size: f32,
}

impl Place {
    pub fn new(kind: Defect, random: &mut Random) -> Self {
        let t = between(random, -1.0, 1.0);
        let side = if random.below(2) == 0 { 1.0 } else { -1.0 };
        let direction = [side * (1.0 - t * t) / (1.0 + t * t), 2.0 * t / (1.0 + t * t)];
        let radius = match kind {
            Defect::Chip => RADIUS + 3.0,
            _ => between(random, 56.0, 84.0),
        };
        let size = match kind {
            Defect::Chip => between(random, 9.0, 14.0),
            Defect::MisplacedHole => between(random, 9.0, 13.0),
            Defect::Scratch => between(random, 0.7, 1.1),
            _ => between(random, 8.0, 14.0),
        };
        let from = direction.map(|v| v * radius);
        let reach = [between(random, -34.0, 34.0), between(random, 18.0, 32.0) * side];
        Self {
            hole: random.below(BOLT_DIRECTIONS.len()),
            from,
            to: [from[0] + reach[0], from[1] + reach[1]],
            size,
        }
    }

    /// Where a misplaced hole was drilled: too far out, into the groove.
    pub fn drilled(&self) -> [f32; 2] {
        BOLT_DIRECTIONS[self.hole].map(|v| v * (BOLT_CIRCLE + self.size))
    }
}

impl Part {
    /// How much of the defect is at `position`: 0 to 1.
    pub(super) fn defect_cover(&self, position: [f32; 2]) -> f32 {
        let Some((kind, place)) = &self.defect else { return 0.0 };
        let disc = |[x, y]: [f32; 2]| cover(length([position[0] - x, position[1] - y]) - BOLT - 2.5);
        let planned = BOLT_DIRECTIONS[place.hole].map(|v| v * BOLT_CIRCLE);
        match kind {
            Defect::Chip => {
                cover(self.chip_edge(place, position) - 3.0).min(cover(length(position) - RADIUS))
            }
            Defect::MisplacedHole => disc(planned).max(disc(place.drilled())),
            Defect::MissingHole => disc(planned),
            Defect::Scratch => cover(self.scratch_line(place, position).abs() - place.size),
            Defect::Stain => self.stain(place, position),
        }
    }

    /// Signed distance from a chip's ragged edge, negative where the metal is gone.
    pub(super) fn chip_edge(&self, place: &Place, position: [f32; 2]) -> f32 {
        let [x, y] = position;
        let ragged =
            3.5 * self.noise.smooth(x * 0.14, y * 0.14, 5) + 1.2 * self.noise.smooth(x * 0.5, y * 0.5, 6);
        length([x - place.from[0], y - place.from[1]]) + ragged - place.size
    }

    /// Signed distance from the line of a scratch, which a hand drew.
    pub(super) fn scratch_line(&self, place: &Place, [x, y]: [f32; 2]) -> f32 {
        to_segment([x, y], place.from, place.to) + 2.5 * self.noise.smooth(x * 0.04, y * 0.04, 7)
    }

    /// How thick the oil lies: more at its edge.
    pub(super) fn stain(&self, place: &Place, [x, y]: [f32; 2]) -> f32 {
        let from =
            length([x - place.from[0], y - place.from[1]]) + 5.0 * self.noise.smooth(x * 0.11, y * 0.11, 8);
        smoothstep(place.size + 1.0, place.size - 1.5, from)
            * mix(0.7, 1.0, smoothstep(place.size - 6.0, place.size, from))
    }
}
