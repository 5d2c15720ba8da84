//! How a part looks: lathe-turned steel under a lamp, its shadow, and the belt.

use super::noise::{band, cover, dot, length, mix, smoothstep, square};
use super::{BOLT, BORE, Defect, HUB, Part, RADIUS, SIDE};

/// Where the lamp is, from the part.
const LAMP: [f32; 3] = [-0.45, -0.60, 0.66];
/// Half way between the lamp and the camera, which looks straight down.
const HALFWAY: [f32; 3] = [-0.247, -0.329, 0.911];
/// How far the shadow falls.
const SHADOW: [f32; 2] = [6.0, 8.0];
/// A groove in the face.
const GROOVE: f32 = 86.0;

impl Part {
    /// The light that reaches the camera from `at` in the photograph: red, green, blue, linear.
    pub(super) fn color(&self, at: [f32; 2]) -> [f32; 3] {
        let position = self.to_part(at);
        let solid = cover(self.outside(position));
        let lit = 1.12 - 0.35 * square(length([at[0] / SIDE - 0.42, at[1] / SIDE - 0.40]));
        let (belt, metal) = (self.belt(at), self.metal(position));
        std::array::from_fn(|c| mix(belt[c], metal[c], solid) * lit * self.brightness)
    }

    /// Dark ribbed rubber, and the part's shadow on it.
    fn belt(&self, at: [f32; 2]) -> [f32; 3] {
        let [x, y] = [at[0], at[1] + self.belt];
        let rib = (y / 7.0 - (y / 7.0).floor() - 0.5).abs();
        let dirt =
            0.004 * self.noise.smooth(x * 0.04, y * 0.04, 1) + 0.006 * self.noise.smooth(x * 0.6, y * 0.6, 2);
        let shaded = self.outside(self.to_part([at[0] - SHADOW[0], at[1] - SHADOW[1]]));
        let near = self.outside(self.to_part(at));
        let light = (1.0 - 0.82 * smoothstep(7.0, -7.0, shaded)) * (1.0 - 0.35 * smoothstep(14.0, 0.0, near));
        [0.036, 0.047, 0.056].map(|v| (v + 0.022 * rib + dirt) * light)
    }

    fn metal(&self, position: [f32; 2]) -> [f32; 3] {
        let r = length(position).max(1e-3);
        let outward = position.map(|v| v / r);
        let (lamp, halfway) = (self.turned(LAMP), self.turned(HALFWAY));
        let tool = self.noise.line(r * 1.3, 3);
        let tilt = self.tilt(position, r, outward, tool);
        let up = 1.0 / (1.0 + dot(tilt, tilt)).sqrt();
        let normal = [tilt[0] * up, tilt[1] * up, up];
        // The tool's grooves run around: they gleam where the light comes across them.
        let along = outward[0] * halfway[1] - outward[1] * halfway[0];
        let gleam =
            square(power16(1.0 - square(along))) * (1.0 + 0.35 * tool + 0.25 * self.noise.line(r * 0.45, 4));
        let edge = power16(dot(normal, halfway).max(0.0));
        let grain = 0.016 * self.noise.smooth(position[0] * 0.9, position[1] * 0.9, 9);
        let flat = if r < HUB { 0.11 } else { 0.085 };
        let value =
            flat + 0.15 * dot(normal, lamp).max(0.0) + 0.42 * gleam * up + 0.45 * square(edge) + grain;
        let value = value * (1.0 - 0.45 * self.hub_shadow(position, r));
        self.with_defect(position, [value * 0.97, value, value * 1.03])
    }

    fn turned(&self, [x, y, z]: [f32; 3]) -> [f32; 3] {
        let [x, y] = self.rotate([x, y]);
        [x, y, z]
    }

    /// How the surface leans: outwards at outer edges, inwards at inner ones.
    fn tilt(&self, position: [f32; 2], r: f32, outward: [f32; 2], tool: f32) -> [f32; 2] {
        let edges = smoothstep(RADIUS - 4.0, RADIUS, r) + 1.1 * band(r, HUB, 3.0)
            - smoothstep(BORE + 4.0, BORE, r)
            + 0.8 * (band(r, GROOVE - 1.0, 1.5) - band(r, GROOVE + 1.0, 1.5))
            + 0.05 * tool;
        let mut tilt = outward.map(|v| v * edges);
        if let Some((offset, distance)) = self.nearest_hole(position) {
            let sink = smoothstep(BOLT + 3.5, BOLT, distance) / distance.max(1e-3);
            tilt = [tilt[0] - offset[0] * sink, tilt[1] - offset[1] * sink];
        }
        if let Some((Defect::Chip, place)) = &self.defect {
            let broken = smoothstep(4.0, 0.0, self.chip_edge(place, position));
            let [x, y] = position.map(|v| v * 0.45);
            tilt[0] += broken * 1.2 * self.noise.smooth(x, y, 10);
            tilt[1] += broken * 1.2 * self.noise.smooth(x, y, 11);
        }
        tilt
    }

    /// The hub stands above the face.
    fn hub_shadow(&self, [x, y]: [f32; 2], r: f32) -> f32 {
        let [dx, dy] = self.rotate([3.0, 4.0]);
        smoothstep(2.5, -2.5, length([x - dx, y - dy]) - HUB) * smoothstep(HUB, HUB + 1.5, r)
    }

    fn with_defect(&self, position: [f32; 2], metal: [f32; 3]) -> [f32; 3] {
        match &self.defect {
            Some((Defect::Scratch, place)) => {
                let side = self.scratch_line(place, position);
                // Bare metal, and the burr beside it.
                let (bare, burr) = (cover(side.abs() - place.size), cover((side - 1.6).abs() - 0.8));
                metal.map(|v| mix(mix(v, v * 0.55, burr), 0.85, 0.8 * bare))
            }
            Some((Defect::Stain, place)) => {
                let oil = self.stain(place, position);
                let through = [0.50, 0.38, 0.22];
                std::array::from_fn(|c| metal[c] * mix(1.0, through[c], oil))
            }
            Some((Defect::Chip, place)) => {
                let broken = smoothstep(4.0, 1.0, self.chip_edge(place, position));
                metal.map(|v| v * (1.0 - 0.45 * broken))
            }
            _ => metal,
        }
    }
}

fn power16(v: f32) -> f32 {
    square(square(square(square(v))))
}
