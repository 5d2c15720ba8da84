//! Random numbers that are the same on every platform.

/// splitmix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014).
#[derive(Clone, Debug)]
pub struct Random(u64);

#[cfg_attr(not(feature = "train"), allow(dead_code))]
impl Random {
    /// The sequence of `seed`; sequences with different `purpose` are independent.
    pub fn new(seed: u64, purpose: u64) -> Self {
        let mut random = Self(seed);
        random.0 = random.next_u64() ^ purpose;
        random
    }

    /// The sequence behind `state`.
    pub fn from_state(state: u64) -> Self {
        Self(state)
    }

    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Uniform below `bound` (which must not be 0), by the high half of a product: biased by less than 2^-32
    /// for bounds below 2^32.
    pub fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.next_u64()) * bound as u128) >> 64) as usize
    }

    /// Brings `count` random values to the front, each choice and order of them as likely (Fisher and Yates).
    pub fn shuffle<T>(&mut self, values: &mut [T], count: usize) {
        for i in 0..count.min(values.len()) {
            values.swap(i, i + self.below(values.len() - i));
        }
    }

    /// Uniform in [0, 1).
    pub fn unit(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }
}
