//! The program: one file a command.

#![cfg_attr(not(test), deny(clippy::expect_used, clippy::indexing_slicing, clippy::cast_possible_truncation))]

mod backbone;
mod benchmark;
mod coreset;
// It draws, into pictures of its own size; nothing from outside comes in.
#[allow(clippy::expect_used, clippy::indexing_slicing, clippy::cast_possible_truncation)]
pub mod demo;
mod embed;
mod embedding;
mod evaluate;
mod fit;
mod import;
mod info;
mod pictures;
mod predict;
mod profile;
mod progress;
mod train;

use crate::error::{Error, Result};
use clap::{Parser, Subcommand};
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

/// Finds defects in photographs of manufactured parts, having seen only good ones.
#[derive(Parser)]
#[command(name = "patchcore", version, max_term_width = 110)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Demo(demo::Arguments),
    Train(train::Arguments),
    Predict(predict::Arguments),
    Evaluate(evaluate::Arguments),
    Benchmark(benchmark::Arguments),
    Embed(embed::Arguments),
    Coreset(coreset::Arguments),
    Import(import::Arguments),
    Info(info::Arguments),
    Profile(profile::Arguments),
}

impl Command {
    /// Whether an interrupt in the middle would leave something to clear up. The others start no thread for it: each takes
    /// 64 MiB of addresses, of which small devices have few.
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
pub fn run() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.command.writes() {
        progress::catch_interrupts();
    }
    match dispatch(arguments.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("patchcore: {error}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(command: Command) -> Result<()> {
    match command {
        Command::Demo(arguments) => demo::run(arguments),
        Command::Train(arguments) => train::run(arguments),
        Command::Predict(arguments) => predict::run(arguments),
        Command::Evaluate(arguments) => evaluate::run(arguments),
        Command::Benchmark(arguments) => benchmark::run(arguments),
        Command::Embed(arguments) => embed::run(arguments),
        Command::Coreset(arguments) => coreset::run(arguments),
        Command::Import(arguments) => import::run(arguments),
        Command::Info(arguments) => info::run(arguments),
        Command::Profile(arguments) => profile::run(arguments),
    }
}

/// Writes `text` and a line end to standard output.
fn print(text: impl std::fmt::Display) -> Result<()> {
    let mut out = std::io::stdout().lock();
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        // Whoever reads has seen enough, as with `| head`.
        Err(e) if e.kind() == std::io::ErrorKind::BrokenPipe => std::process::exit(0),
        result => result.map_err(|e| Error::io(Path::new("standard output"), "write", &e)),
    }
}
