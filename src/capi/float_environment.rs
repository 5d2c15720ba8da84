//! The host's floating-point environment: masked while a function runs, restored when it returns.
//!
//! A host may trap invalid operations (Free Pascal and Delphi programs do, and `feenableexcept` in C), flush
//! subnormal numbers to zero, or round upwards. Vector code divides zero by zero in lanes that nobody uses,
//! and the search's error bounds hold for rounding to nearest with subnormal numbers. Threads inherit the
//! environment of the thread that starts them, so that those of a session have the default one as well.

/// The default environment for as long as this lives: nothing traps, nothing is flushed, rounding is to
/// nearest. Exception flags that are raised meanwhile are dropped with it.
pub(super) struct DefaultFloats {
    host: registers::Control,
}

impl DefaultFloats {
    /// Saves the host's environment and sets the default one.
    pub(super) fn set() -> Self {
        let host = registers::read();
        // SAFETY: the default value sets no reserved bit.
        unsafe { registers::write(registers::DEFAULT) };
        Self { host }
    }
}

impl Drop for DefaultFloats {
    fn drop(&mut self) {
        // SAFETY: the value was read from the same registers.
        unsafe { registers::write(self.host) };
    }
}

/// MXCSR. The x87 unit keeps its own control word, and no code here uses that unit.
#[cfg(any(target_arch = "x86_64", all(target_arch = "x86", target_feature = "sse")))]
mod registers {
    use std::arch::asm;

    pub(super) type Control = u32;

    /// All exceptions masked.
    pub(super) const DEFAULT: Control = 0x1f80;

    pub(super) fn read() -> Control {
        let mut mxcsr: Control = 0;
        // SAFETY: the instruction stores four bytes, to a variable of that size.
        unsafe { asm!("stmxcsr [{}]", in(reg) &raw mut mxcsr, options(nostack, preserves_flags)) };
        mxcsr
    }

    /// # Safety
    /// `mxcsr` sets no bit that the CPU reserves.
    pub(super) unsafe fn write(mxcsr: Control) {
        // SAFETY: the instruction loads four bytes, from a variable of that size, and the caller grants its
        // bits.
        unsafe { asm!("ldmxcsr [{}]", in(reg) &raw const mxcsr, options(nostack, preserves_flags)) };
    }
}

/// FPCR and FPSR: control and exception flags.
#[cfg(target_arch = "aarch64")]
mod registers {
    use std::arch::asm;

    pub(super) type Control = [u64; 2];

    pub(super) const DEFAULT: Control = [0, 0];

    pub(super) fn read() -> Control {
        let (fpcr, fpsr): (u64, u64);
        // SAFETY: the registers can be read at every privilege level.
        unsafe {
            asm!("mrs {}, fpcr", "mrs {}, fpsr", out(reg) fpcr, out(reg) fpsr, options(nostack, preserves_flags));
        }
        [fpcr, fpsr]
    }

    /// # Safety
    /// The values set no bit that the CPU reserves.
    pub(super) unsafe fn write([fpcr, fpsr]: Control) {
        // SAFETY: the registers can be written at every privilege level, and the caller grants their bits.
        unsafe {
            asm!("msr fpcr, {}", "msr fpsr, {}", in(reg) fpcr, in(reg) fpsr, options(nostack, preserves_flags));
        }
    }
}

/// FPSCR. Only the hard-float ABI promises that there is one.
#[cfg(all(target_arch = "arm", target_abi = "eabihf"))]
mod registers {
    use std::arch::asm;

    pub(super) type Control = u32;

    pub(super) const DEFAULT: Control = 0;

    pub(super) fn read() -> Control {
        let fpscr: Control;
        // SAFETY: the register can be read at every privilege level.
        unsafe { asm!("vmrs {}, fpscr", out(reg) fpscr, options(nostack, preserves_flags)) };
        fpscr
    }

    /// # Safety
    /// `fpscr` sets no bit that the CPU reserves.
    pub(super) unsafe fn write(fpscr: Control) {
        // SAFETY: the register can be written at every privilege level, and the caller grants its bits.
        unsafe { asm!("vmsr fpscr, {}", in(reg) fpscr, options(nostack, preserves_flags)) };
    }
}

/// Other CPUs: the host's environment stays.
#[cfg(not(any(
    target_arch = "x86_64",
    all(target_arch = "x86", target_feature = "sse"),
    target_arch = "aarch64",
    all(target_arch = "arm", target_abi = "eabihf"),
)))]
mod registers {
    pub(super) type Control = ();

    pub(super) const DEFAULT: Control = ();

    pub(super) fn read() -> Control {}

    /// # Safety
    /// None is needed: nothing is written.
    pub(super) unsafe fn write((): Control) {}
}

#[cfg(all(test, any(target_arch = "x86_64", target_arch = "aarch64")))]
mod tests {
    use super::*;
    use std::hint::black_box;

    /// Flushes to zero and rounds upwards; on x86-64 it traps invalid operations, divisions by zero and
    /// overflow as well.
    #[cfg(target_arch = "x86_64")]
    const HOSTILE: registers::Control = 0x1f80 - (0x80 + 0x200 + 0x400) + 0x8000 + 0x40 + 0x4000;
    #[cfg(target_arch = "aarch64")]
    const HOSTILE: registers::Control = [(1 << 24) + (1 << 22), 0];

    /// Runs `work` under the hostile environment and returns what is left of that afterwards.
    fn under_hostile(work: impl FnOnce()) -> registers::Control {
        let usual = registers::read();
        // SAFETY: no reserved bit is set, and the usual environment was read from the same registers.
        unsafe {
            registers::write(HOSTILE);
            work();
            let left = registers::read();
            registers::write(usual);
            left
        }
    }

    /// 0/0, and half the least normal number: what traps and what is flushed.
    fn arithmetic() -> (f32, f32) {
        (black_box(0.0) / black_box(0.0), black_box(f32::MIN_POSITIVE) / black_box(2.0))
    }

    #[test]
    fn the_default_environment_holds_inside_and_the_hosts_afterwards() {
        let mut inside = None;
        let left = under_hostile(|| {
            let _default = DefaultFloats::set();
            inside = Some(arithmetic());
        });
        assert_eq!(left, HOSTILE);
        let (invalid, subnormal) = inside.unwrap();
        assert!(invalid.is_nan() && subnormal > 0.0);
    }

    #[test]
    fn a_panic_restores_the_hosts_environment() {
        let left = under_hostile(|| {
            let caught = std::panic::catch_unwind(|| {
                let _default = DefaultFloats::set();
                std::panic::resume_unwind(Box::new(()));
            });
            assert!(caught.is_err());
        });
        assert_eq!(left, HOSTILE);
    }

    #[test]
    fn threads_started_inside_have_the_default_environment() {
        let mut inside = None;
        under_hostile(|| {
            let _default = DefaultFloats::set();
            inside = std::thread::spawn(arithmetic).join().ok();
        });
        let (invalid, subnormal) = inside.unwrap();
        assert!(invalid.is_nan() && subnormal > 0.0);
    }
}
