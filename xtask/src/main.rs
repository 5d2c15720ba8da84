//! Checks of this workspace that are more than a list of commands. The scripts in `.ci` run them.

mod cargo;
mod crates;
mod features;
mod instructions;
mod licences;

use std::process::ExitCode;

const USAGE: &str = "\
cargo xtask licences [--write]              compare docs/licences.md with the linked crates, or write it
cargo xtask crates NUMBER [OPTION...]       check how many crates the library depends on; options of `cargo tree`
cargo xtask features                        print the features of the library, one a line
cargo xtask instructions [aarch64] [--write]
                                            compare counted instructions with xtask/instructions.txt, or write it";

/// What went wrong, for a person.
type Result<T> = std::result::Result<T, String>;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match arguments[..] {
        ["licences"] => licences::check(),
        ["licences", "--write"] => licences::write(),
        ["crates", number, ref options @ ..] => crates::check(number, options),
        ["features"] => features::print(),
        ["instructions", ref options @ ..] => instructions::count(options),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}
