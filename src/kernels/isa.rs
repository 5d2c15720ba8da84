//! The vector instructions to use: detected, or forced with `PATCHCORE_ISA`.

use super::portable::F32x8;
use super::simd::Simd;
#[cfg(target_arch = "x86_64")]
use super::x86_64::{Avx2, Avx512};
use crate::error::{Error, Result};
use std::fmt;

/// A set of vector instructions that this CPU has. It cannot be made on a CPU without them.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Isa(Kind);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    Portable,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
    #[cfg(any(target_arch = "aarch64", target_arch = "arm"))]
    Neon,
}

impl Isa {
    /// Plain Rust, on every CPU.
    pub const PORTABLE: Isa = Isa(Kind::Portable);

    /// The best that this CPU has, or the one that the environment variable `PATCHCORE_ISA` names
    /// (`portable`, `avx2`, `avx512`, `neon`).
    ///
    /// # Errors
    /// The variable names an instruction set that is unknown, or that this CPU does not have.
    pub fn detect() -> Result<Isa> {
        match std::env::var("PATCHCORE_ISA") {
            Ok(name) if !name.is_empty() => Self::named(&name),
            _ => Ok(Self::best()),
        }
    }

    /// The best instruction set of this CPU.
    pub fn best() -> Isa {
        Self::available()[0]
    }

    /// Every instruction set that this CPU has, best first; `portable` is always the last.
    pub fn available() -> Vec<Isa> {
        let mut all = Vec::new();
        #[cfg(target_arch = "x86_64")]
        {
            if has_avx512() {
                all.push(Isa(Kind::Avx512));
            }
            if has_avx2() {
                all.push(Isa(Kind::Avx2));
            }
        }
        #[cfg(any(target_arch = "aarch64", target_arch = "arm"))]
        if super::neon::has_neon() {
            all.push(Isa(Kind::Neon));
        }
        all.push(Self::PORTABLE);
        all
    }

    /// Its name in `PATCHCORE_ISA`.
    pub fn name(self) -> &'static str {
        match self.0 {
            Kind::Portable => "portable",
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2 => "avx2",
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512 => "avx512",
            #[cfg(any(target_arch = "aarch64", target_arch = "arm"))]
            Kind::Neon => "neon",
        }
    }

    /// f32 values of a register.
    pub(crate) fn lanes(self) -> usize {
        match self.0 {
            Kind::Portable => F32x8::LANES,
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2 => Avx2::LANES,
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512 => Avx512::LANES,
            #[cfg(any(target_arch = "aarch64", target_arch = "arm"))]
            Kind::Neon => super::neon::Neon::LANES,
        }
    }

    pub(crate) fn kind(self) -> Kind {
        self.0
    }

    fn named(name: &str) -> Result<Isa> {
        let all = Self::available();
        all.iter().copied().find(|isa| isa.name() == name).ok_or_else(|| {
            let names: Vec<_> = all.iter().map(|isa| isa.name()).collect();
            Error::argument(
                "PATCHCORE_ISA",
                format!("{name:?}"),
                format!("one that this CPU has: {}", names.join(", ")),
            )
        })
    }
}

impl fmt::Debug for Isa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(target_arch = "x86_64")]
fn has_avx2() -> bool {
    is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") && is_x86_feature_detected!("f16c")
}

/// The subset of every AVX-512 server and desktop CPU since 2017, and the integer dot product (2019).
#[cfg(target_arch = "x86_64")]
fn has_avx512() -> bool {
    has_avx2()
        && is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512vl")
        && is_x86_feature_detected!("avx512vnni")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn portable_is_always_there_and_last() {
        assert_eq!(Isa::available().last(), Some(&Isa::PORTABLE));
    }

    #[test]
    fn every_available_name_resolves_to_itself_and_others_are_refused() {
        for isa in Isa::available() {
            assert_eq!(Isa::named(isa.name()).unwrap(), isa);
        }
        let message = Isa::named("sse9").unwrap_err().to_string();
        assert!(message.contains("sse9") && message.contains("portable"), "{message}");
    }
}
