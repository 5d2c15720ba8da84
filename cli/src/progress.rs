//! Progress bars on standard error, and signals that ask the program to stop.

use indicatif::{ProgressBar, ProgressStyle};
use patchcore::Stage;
use patchcore::{Error, Result};
#[cfg(unix)]
use signal_hook::consts::SIGHUP;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};

static INTERRUPTED: LazyLock<Arc<AtomicBool>> = LazyLock::new(Arc::default);

/// From now on the first Ctrl-C, or signal to end or hang up, asks the work to stop, so that it can clear up
/// behind itself; the second ends the process. What the caller has ignored, as `nohup` does, stays ignored.
pub fn catch_interrupts() {
    let signals = [
        SIGINT,
        SIGTERM,
        #[cfg(unix)]
        SIGHUP,
    ];
    for signal in signals.into_iter().filter(|&signal| !is_ignored(signal)) {
        // Without a handler a signal ends the process at once, which loses a temporary file and nothing else.
        let _ = flag::register_conditional_shutdown(signal, 130, INTERRUPTED.clone())
            .and_then(|_| flag::register(signal, INTERRUPTED.clone()));
    }
}

/// Whether the process was started with `signal` ignored, where the operating system tells.
fn is_ignored(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap_or_default();
    u64::from_str_radix(ignored.trim(), 16).is_ok_and(|ignored| ignored >> (signal - 1) & 1 == 1)
}

/// An error if a signal asked to stop during `what`.
pub fn check(what: &str) -> Result<()> {
    if INTERRUPTED.load(Ordering::Relaxed) { Err(Error::cancelled(what)) } else { Ok(()) }
}

/// A progress bar; hidden where standard error is not a terminal.
pub struct Bar {
    what: String,
    bar: ProgressBar,
}

impl Bar {
    /// A bar named `what` that counts to `total`.
    pub fn new(what: impl Into<String>, total: usize) -> Self {
        let bar = ProgressBar::new(total as u64);
        // The template is a constant; if it were wrong the default style would serve.
        if let Ok(style) = ProgressStyle::with_template("{msg:>12} {bar:40} {pos}/{len} {eta}") {
            bar.set_style(style);
        }
        let what = what.into();
        bar.set_message(what.clone());
        Self { what, bar }
    }

    /// One more is done.
    ///
    /// # Errors
    /// A signal asked to stop.
    pub fn step(&self) -> Result<()> {
        self.bar.inc(1);
        check(&self.what)
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// Shows the stages of a training one after the other, and stops it at a signal.
#[derive(Default)]
pub struct TrainingProgress {
    current: Option<(Stage, Bar)>,
}

impl TrainingProgress {
    /// To be called by the training.
    pub fn observe(&mut self, stage: Stage, done: usize, total: usize) -> ControlFlow<()> {
        if self.current.as_ref().is_none_or(|(shown, _)| *shown != stage) {
            self.current = Some((stage, Bar::new(stage.to_string(), total)));
        }
        if let Some((_, bar)) = &self.current {
            bar.bar.set_position(done as u64);
        }
        if INTERRUPTED.load(Ordering::Relaxed) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}
