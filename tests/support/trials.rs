//! Tests of a target without the built-in harness. Those that need the large reference outputs beside the
//! checkout are reported as ignored where there are none; the built-in harness could only let them pass.

use super::support::golden::has_shared;
use libtest_mimic::{Arguments, Conclusion, Trial};

/// The tests of a module: `trials!(NAME, ...; shared: NAME, ...)`, the last ones those that need `shared`.
macro_rules! trials {
    ($($name:ident),*; shared: $($large:ident),*) => {
        pub fn trials() -> Vec<libtest_mimic::Trial> {
            vec![
                $(crate::trials::trial(module_path!(), stringify!($name), false, $name),)*
                $(crate::trials::trial(module_path!(), stringify!($large), true, $large),)*
            ]
        }
    };
}

/// A test that fails where `test` panics.
pub fn trial(module: &str, name: &str, needs_shared: bool, test: fn()) -> Trial {
    let path = format!("{module}::{name}");
    // The first part is the target's name.
    let path = path.split_once("::").map_or(path.as_str(), |(_, rest)| rest);
    let run = move || {
        test();
        Ok(())
    };
    Trial::test(path, run).with_ignored_flag(needs_shared && !has_shared())
}

/// Runs the tests that the command line selects.
pub fn run_trials(trials: Vec<Trial>) -> Conclusion {
    libtest_mimic::run(&Arguments::from_args(), trials)
}
