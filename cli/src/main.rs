//! The `patchcore` program: one file a command.

#![deny(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::expect_used, clippy::indexing_slicing, clippy::cast_possible_truncation))]

mod backbone;
mod benchmark;
mod calibrate;
mod coreset;
mod decoding;
// It draws, into pictures of its own size; nothing from outside comes in.
#[allow(clippy::expect_used, clippy::indexing_slicing, clippy::cast_possible_truncation)]
pub mod demo;
mod embed;
mod embedding;
mod evaluate;
mod file_report;
mod import;
mod info;
mod output;
mod pictures;
mod predict;
mod profile;
mod progress;
mod roi;
mod thresholds;
mod train;
mod training;
mod usage;

use clap::{Parser, Subcommand};
use patchcore::internals::error::steers;
use patchcore::{Error, ErrorKind, MappedFile, OpenOptions, PatchCore, Result};
use std::fmt::Display;
use std::io::{self, Write};
use std::panic::{self, catch_unwind};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Mutex;

/// Finds defects in photographs of manufactured parts, having seen only good ones.
#[derive(Parser)]
#[command(name = "patchcore", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Demo(demo::Arguments),
    Train(train::Arguments),
    Predict(predict::Arguments),
    Calibrate(calibrate::Arguments),
    Evaluate(evaluate::Arguments),
    Benchmark(benchmark::Arguments),
    Embed(embed::Arguments),
    Coreset(coreset::Arguments),
    Import(import::Arguments),
    Info(info::Arguments),
    Profile(profile::Arguments),
}

impl Command {
    /// Whether an interrupt in the middle would leave something to clear up. The others end at once.
    fn writes(&self) -> bool {
        match self {
            Self::Evaluate(_) | Self::Info(_) => false,
            Self::Predict(arguments) => arguments.writes(),
            Self::Profile(arguments) => arguments.writes(),
            _ => true,
        }
    }
}

/// Runs the program with the process's arguments. Exit status: 0 done, 1 the work failed, 2 wrong usage.
fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.command.writes() {
        progress::catch_interrupts();
    }
    keep_panics_quiet();
    let done = catch_unwind(|| dispatch(arguments.command).unwrap_or_else(report));
    done.unwrap_or_else(|_| {
        let panic = LAST_PANIC.lock().map_or_else(|_| String::new(), |panic| panic.clone());
        tell(format!("patchcore: internal error, please report it: {panic}"));
        ExitCode::FAILURE
    })
}

/// Where the last panic was, and its message.
static LAST_PANIC: Mutex<String> = Mutex::new(String::new());

/// Notes panics instead of printing them: the library makes an error of a decoder's panic, and `main` reports
/// others.
fn keep_panics_quiet() {
    panic::set_hook(Box::new(|panic| {
        if let Ok(mut last) = LAST_PANIC.lock() {
            *last = panic.to_string();
        }
    }));
}

fn dispatch(command: Command) -> Result<ExitCode> {
    let done = match command {
        // These go on after an error, and tell it themselves.
        Command::Predict(arguments) => return predict::run(arguments),
        Command::Benchmark(arguments) => return benchmark::run(arguments),
        Command::Profile(arguments) => return profile::run(arguments),
        Command::Demo(arguments) => demo::run(arguments),
        Command::Train(arguments) => train::run(arguments),
        Command::Calibrate(arguments) => calibrate::run(arguments),
        Command::Evaluate(arguments) => evaluate::run(arguments),
        Command::Embed(arguments) => embed::run(arguments),
        Command::Coreset(arguments) => coreset::run(arguments),
        Command::Import(arguments) => import::run(arguments),
        Command::Info(arguments) => info::run(arguments),
    };
    done.map(|()| ExitCode::SUCCESS)
}

/// Maps the model file `path`, so that its memory bank stays in pages that processes share.
#[allow(unsafe_code)]
fn open_mapped(path: &Path, threads: usize) -> Result<PatchCore> {
    // SAFETY: models are replaced by renaming, by this program as by `save`; the documentation asks nobody to
    // write into one that is in use.
    let file = unsafe { MappedFile::open(path)? };
    OpenOptions::default().threads(threads).open_mapped(file)
}

/// Prints the error, and gives the exit status that it stands for.
fn report(error: Error) -> ExitCode {
    let error = usage::name_flag(error);
    match error.kind() {
        ErrorKind::Cancelled => tell(format!("patchcore: {}: interrupted", error.subject())),
        _ => tell(format!("patchcore: {error}")),
    }
    usage::status(&error).into()
}

/// Writes a line to standard error, which nobody may read any more.
fn tell(text: impl Display) {
    let _ = writeln!(std::io::stderr(), "{}", in_one_line(text));
}

/// Writes `text` to standard output, and a line end unless it has one. That nobody reads any more is no
/// error, as with `| head`.
fn print(text: impl Display) -> Result<()> {
    print_if_read(text).map(drop)
}

/// As [`print()`], and whether somebody reads.
fn print_if_read(text: impl Display) -> Result<bool> {
    let text = without_controls(&text.to_string());
    let mut out = std::io::stdout().lock();
    match writeln!(out, "{}", text.trim_end_matches('\n')).and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(e) => Err(Error::io(Path::new("standard output"), "write", &e)),
    }
}

/// `text` with what steers a terminal, but for line ends, as `\u001b`, which JSON reads as well: names of
/// files are not ours.
fn without_controls(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match steers(c) && c != '\n' {
            true => safe.push_str(&format!("\\u{:04x}", u32::from(c))),
            false => safe.push(c),
        }
    }
    safe
}

/// As [`without_controls`], line ends as `\n`.
fn in_one_line(text: impl Display) -> String {
    without_controls(&text.to_string()).replace('\n', "\\n")
}

/// `1 row`, `2 rows`.
fn counted(number: impl Into<u64>, noun: &str) -> String {
    match number.into() {
        1 => format!("1 {noun}"),
        number if noun.ends_with("ch") => format!("{number} {noun}es"),
        number => format!("{number} {noun}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        assert_eq!(without_controls("a\u{1b}[2J\u{9b}\tb\n"), "a\\u001b[2J\\u009b\\u0009b\n");
        assert_eq!(in_one_line("a\r\nb\u{2028}c\u{202e}d"), r"a\u000d\nb\u2028c\u202ed");
    }

    #[test]
    fn one_is_singular() {
        assert_eq!([0u64, 1, 2].map(|n| counted(n, "patch")), ["0 patches", "1 patch", "2 patches"]);
        assert_eq!([1u64, 2].map(|n| counted(n, "row")), ["1 row", "2 rows"]);
    }
}
