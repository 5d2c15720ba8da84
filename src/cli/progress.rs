//! Progress bars on standard error, and Ctrl-C.

use crate::detector::Stage;
use crate::error::{Error, Result};
use indicatif::{ProgressBar, ProgressStyle};
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// From now on the first Ctrl-C asks the work to stop, so that it can clear up behind itself; the second ends the
/// process.
pub fn catch_interrupts() {
    // Without a handler Ctrl-C ends the process at once, which loses a temporary file and nothing else.
    let _ = ctrlc::set_handler(|| {
        if INTERRUPTED.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
    });
}

/// An error if Ctrl-C was pressed during `what`.
pub fn check(what: &str) -> Result<()> {
    if INTERRUPTED.load(Ordering::Relaxed) { Err(Error::cancelled(what)) } else { Ok(()) }
}

/// A progress bar; hidden where standard error is not a terminal.
pub struct Bar {
    what: &'static str,
    bar: ProgressBar,
}

impl Bar {
    /// A bar named `what` that counts to `total`.
    pub fn new(what: &'static str, total: usize) -> Self {
        let bar = ProgressBar::new(total as u64);
        // The template is a constant; if it were wrong the default style would serve.
        if let Ok(style) = ProgressStyle::with_template("{msg:>12} {bar:40} {pos}/{len} {eta}") {
            bar.set_style(style);
        }
        bar.set_message(what);
        Self { what, bar }
    }

    /// One more is done.
    ///
    /// # Errors
    /// Ctrl-C was pressed.
    pub fn step(&self) -> Result<()> {
        self.bar.inc(1);
        check(self.what)
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// Shows the stages of a training one after the other, and stops it at Ctrl-C.
#[derive(Default)]
pub struct TrainingProgress {
    current: Option<(Stage, Bar)>,
}

impl TrainingProgress {
    /// To be called by the training.
    pub fn observe(&mut self, stage: Stage, done: usize, total: usize) -> ControlFlow<()> {
        if self.current.as_ref().is_none_or(|(shown, _)| *shown != stage) {
            self.current = Some((stage, Bar::new(name(stage), total)));
        }
        if let Some((_, bar)) = &self.current {
            bar.bar.set_position(done as u64);
        }
        if INTERRUPTED.load(Ordering::Relaxed) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

fn name(stage: Stage) -> &'static str {
    match stage {
        Stage::Coreset => "coreset",
        Stage::Calibration => "calibration",
    }
}
