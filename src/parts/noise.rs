//! Noise and the small functions that drawing needs: only `+ - * /` and square roots, so that every platform
//! gives the same bits.

use crate::random::Random;

/// Fixed noise of one part.
pub struct Noise(pub u64);

impl Noise {
    /// In [-1, 1], smooth between the points of a lattice; layers are independent.
    pub fn smooth(&self, x: f32, y: f32, layer: u64) -> f32 {
        let (left, top) = (x.floor(), y.floor());
        let (across, down) = (smoothstep(0.0, 1.0, x - left), smoothstep(0.0, 1.0, y - top));
        let at = |dx: i64, dy: i64| self.lattice(left as i64 + dx, top as i64 + dy, layer);
        let upper = mix(at(0, 0), at(1, 0), across);
        mix(upper, mix(at(0, 1), at(1, 1), across), down)
    }

    /// As [`smooth`](Self::smooth), along a line.
    pub fn line(&self, x: f32, layer: u64) -> f32 {
        let left = x.floor();
        let at = |dx: i64| self.lattice(left as i64 + dx, 0, layer);
        mix(at(0), at(1), smoothstep(0.0, 1.0, x - left))
    }

    fn lattice(&self, x: i64, y: i64, layer: u64) -> f32 {
        between(&mut Random::new(self.0 ^ (x as u64) << 32 ^ (y as u64 & 0xFFFF_FFFF), layer), -1.0, 1.0)
    }
}

/// Uniform in [low, high).
pub fn between(random: &mut Random, low: f32, high: f32) -> f32 {
    mix(low, high, random.unit() as f32)
}

pub fn mix(a: f32, b: f32, share: f32) -> f32 {
    a + (b - a) * share
}

pub fn square(v: f32) -> f32 {
    v * v
}

pub fn length([x, y]: [f32; 2]) -> f32 {
    (x * x + y * y).sqrt()
}

pub fn dot<const N: usize>(a: [f32; N], b: [f32; N]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Share of a pixel that lies inside an edge at signed distance `outside`.
pub fn cover(outside: f32) -> f32 {
    (0.5 - outside).clamp(0.0, 1.0)
}

/// 1 at `center`, 0 from `width` away on.
pub fn band(at: f32, center: f32, width: f32) -> f32 {
    (1.0 - (at - center).abs() / width).max(0.0)
}

pub fn smoothstep(from: f32, to: f32, at: f32) -> f32 {
    let t = ((at - from) / (to - from)).clamp(0.0, 1.0);
    t * t * (3.0 - 2.0 * t)
}

/// Distance of `p` from the segment `a` to `b`, positive on its left and negative on its right.
pub fn to_segment(p: [f32; 2], a: [f32; 2], b: [f32; 2]) -> f32 {
    let (along, to) = ([b[0] - a[0], b[1] - a[1]], [p[0] - a[0], p[1] - a[1]]);
    let share = (dot(to, along) / dot(along, along)).clamp(0.0, 1.0);
    let distance = length([to[0] - along[0] * share, to[1] - along[1] * share]);
    if along[0] * to[1] < along[1] * to[0] { -distance } else { distance }
}
