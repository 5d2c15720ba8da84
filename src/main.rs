//! The `patchcore` program.

fn main() -> std::process::ExitCode {
    patchcore::cli::run()
}
