//! Counted instructions of fixed work against a committed baseline: a measure of speed without noise.
//!
//! Callgrind counts on the machine's own CPU; it has no AVX-512, so `PATCHCORE_ISA` names AVX2 or the
//! portable kernels. For aarch64, QEMU counts with the plugin `count.c`, on one core with the integer dot
//! product and one without, what Debian's compiler made; `.ci/setup-aarch64` installs both. The counts depend
//! on the compiler, which the baseline names; under another compiler they are printed and compared with
//! nothing.

use crate::{Result, cargo};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

const BASELINE: &str = "xtask/instructions.txt";
/// Relative difference from the baseline that passes.
const TOLERANCE: f64 = 0.02;
/// Each with two numbers of repetitions, whose difference is what counts.
const WORKS: [(&str, u64, u64); 4] =
    [("network", 1, 4), ("search", 1, 4), ("coreset", 1, 2), ("prediction", 2, 5)];

/// Millions of instructions of one repetition, by variant and work.
type Counts = BTreeMap<(String, String), f64>;

/// Where the work runs.
struct Machine {
    name: &'static str,
    /// Values of `PATCHCORE_ISA` on x86-64, cores on aarch64.
    variants: &'static [&'static str],
    /// Variables that name the compiler and the linker to cargo.
    environment: &'static [(&'static str, &'static str)],
    count: fn(&Program, &str, &str, u64) -> Result<u64>,
}

const X86_64: Machine = Machine {
    name: "x86_64",
    variants: &["avx2", "portable"],
    environment: &[],
    count: count_with_callgrind,
};
const AARCH64: Machine = Machine {
    name: "aarch64",
    variants: &["cortex-a53", "cortex-a76"],
    environment: &[
        ("RUSTC", "/usr/bin/rustc"),
        ("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER", "aarch64-linux-gnu-gcc"),
    ],
    count: count_with_qemu,
};

/// Counts and compares, or with `--write` replaces the baseline of the machine.
pub fn count(options: &[&str]) -> Result<()> {
    let (machine, write) = match options {
        [] => (&X86_64, false),
        ["--write"] => (&X86_64, true),
        ["aarch64"] => (&AARCH64, false),
        ["aarch64", "--write"] => (&AARCH64, true),
        other => return Err(format!("found {other:?}, expected [aarch64] [--write]")),
    };
    let path = cargo::root().join(BASELINE);
    let text = std::fs::read_to_string(&path).map_err(|e| format!("{BASELINE}: {e}"))?;
    let mut baselines = parse(&text)?;
    let counted = Baseline { compiler: compiler(machine)?, counts: measure(machine)? };
    let kept = baselines.get(machine.name);
    print_table(&counted, kept);
    if write {
        baselines.insert(machine.name.into(), counted);
        return std::fs::write(path, format_baselines(&baselines)).map_err(|e| format!("{BASELINE}: {e}"));
    }
    match kept {
        Some(kept) if kept.compiler == counted.compiler => compare(&counted.counts, &kept.counts),
        Some(kept) => {
            let (ours, theirs) = (&counted.compiler, &kept.compiler);
            println!("not compared: this compiler is {ours}, that of the baseline {theirs}");
            Ok(())
        }
        None => Err(format!("{BASELINE} has no counts for {}: run with --write", machine.name)),
    }
}

/// What one compiler's program took.
#[derive(Debug, PartialEq)]
struct Baseline {
    compiler: String,
    counts: Counts,
}

/// The compiler that cargo calls, as it names itself.
fn compiler(machine: &Machine) -> Result<String> {
    let environment = machine.environment.iter().find(|(name, _)| *name == "RUSTC");
    let rustc = match environment {
        Some((_, rustc)) => rustc.into(),
        None => std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()),
    };
    let version = cargo::capture(Command::new(rustc).arg("--version"))?;
    Ok(version.trim().to_owned())
}

/// A baseline a machine. A line is a machine with its compiler, or a variant, a work and its count.
fn parse(text: &str) -> Result<BTreeMap<String, Baseline>> {
    let mut baselines = BTreeMap::new();
    let mut machine = None;
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let unfit = || format!("{BASELINE}: found {line:?}, expected a machine or a count");
        if let Some((name, compiler)) = line.split_once(": ") {
            let empty = Baseline { compiler: compiler.into(), counts: Counts::new() };
            baselines.insert(name.to_owned(), empty);
            machine = Some(name.to_owned());
        } else {
            let [variant, work, count] = line.split_whitespace().collect::<Vec<_>>()[..] else {
                return Err(unfit());
            };
            let baseline = machine.as_ref().and_then(|name| baselines.get_mut(name)).ok_or_else(unfit)?;
            let count = count.parse().map_err(|_| unfit())?;
            baseline.counts.insert((variant.into(), work.into()), count);
        }
    }
    Ok(baselines)
}

fn format_baselines(baselines: &BTreeMap<String, Baseline>) -> String {
    let mut text = String::from(
        "# Millions of instructions of fixed work, by instruction set or core. Written by `cargo xtask instructions --write`;\n\
         # the commit that changes it says why.\n",
    );
    for (machine, baseline) in baselines {
        text += &format!("\n{machine}: {}\n", baseline.compiler);
        for ((variant, work), count) in &baseline.counts {
            text += &format!("{variant:10} {work:12} {count:10.3}\n");
        }
    }
    text
}

fn print_table(counted: &Baseline, kept: Option<&Baseline>) {
    for (key @ (variant, work), count) in &counted.counts {
        let change = kept.and_then(|kept| kept.counts.get(key)).map(|kept| 100.0 * (count / kept - 1.0));
        let change = change.map_or_else(|| "no baseline".into(), |percent| format!("{percent:+.2} %"));
        println!("{variant:10} {work:12} {count:10.3} million  {change}");
    }
}

/// Fails where a count is further from the baseline than the tolerance, to either side: a gain that is not
/// written down would hide the next loss.
fn compare(counted: &Counts, kept: &Counts) -> Result<()> {
    let is_near = |key: &(String, String)| match (counted.get(key), kept.get(key)) {
        (Some(count), Some(kept)) => (count / kept - 1.0).abs() <= TOLERANCE,
        _ => false,
    };
    let off: Vec<String> = counted
        .keys()
        .chain(kept.keys().filter(|key| !counted.contains_key(*key)))
        .filter(|key| !is_near(key))
        .map(|(variant, work)| format!("{work} with {variant}"))
        .collect();
    if off.is_empty() {
        return Ok(());
    }
    Err(format!(
        "more than {} % from {BASELINE}: {}\nif it should be so, run `cargo xtask instructions --write` and give the \
         reason in the commit",
        100.0 * TOLERANCE,
        off.join(", ")
    ))
}

/// The program that does the fixed work.
struct Program {
    path: PathBuf,
    /// A folder for what a counter needs.
    scratch: PathBuf,
}

fn measure(machine: &Machine) -> Result<Counts> {
    let program = build(machine)?;
    let mut counts = Counts::new();
    for variant in machine.variants {
        for (work, few, many) in WORKS {
            let [less, more] =
                [few, many].map(|repetitions| (machine.count)(&program, variant, work, repetitions));
            let (less, more) = (less?, more?);
            let each = more.saturating_sub(less) as f64 / (many - few) as f64;
            counts.insert(((*variant).into(), work.into()), each / 1e6);
        }
    }
    Ok(counts)
}

fn build(machine: &Machine) -> Result<Program> {
    let scratch = cargo::root().join("target/instructions");
    std::fs::create_dir_all(&scratch).map_err(|e| format!("{}: {e}", scratch.display()))?;
    let mut arguments = vec!["build", "--release", "--package", "xtask", "--bin", "fixed_work"];
    arguments.extend(["--features", "fixed-work", "--message-format", "json-render-diagnostics"]);
    if machine.name != std::env::consts::ARCH {
        arguments.extend(["--target", "aarch64-unknown-linux-gnu", "--target-dir", "target/aarch64"]);
    }
    let messages = cargo::cargo_in(machine.environment, &arguments)?;
    let path = executable(&messages).ok_or("cargo build: found no program fixed_work")?;
    Ok(Program { path, scratch })
}

/// The program in the messages of `cargo build`.
fn executable(messages: &str) -> Option<PathBuf> {
    let parsed = messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    parsed.filter_map(|message| message["executable"].as_str().map(PathBuf::from)).next_back()
}

fn count_with_callgrind(program: &Program, isa: &str, work: &str, repetitions: u64) -> Result<u64> {
    let log = program.scratch.join("callgrind.log");
    let mut valgrind = Command::new("valgrind");
    valgrind.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]);
    valgrind.arg(format!("--log-file={}", log.display())).arg(&program.path);
    cargo::capture(valgrind.args([work, &repetitions.to_string()]).env("PATCHCORE_ISA", isa))?;
    let text = std::fs::read_to_string(&log).map_err(|e| format!("{}: {e}", log.display()))?;
    collected(&text).ok_or_else(|| format!("{}: found no line \"Collected\"", log.display()))
}

/// The instructions that callgrind says that it counted.
fn collected(log: &str) -> Option<u64> {
    log.lines().find_map(|line| line.split_once("Collected : ")?.1.trim().parse().ok())
}

fn count_with_qemu(program: &Program, core: &str, work: &str, repetitions: u64) -> Result<u64> {
    let (plugin, log) = (program.scratch.join("count.so"), program.scratch.join("qemu.log"));
    compile_plugin(&plugin)?;
    let mut qemu = Command::new("qemu-aarch64");
    qemu.args(["-L", "/usr/aarch64-linux-gnu", "-cpu", core, "-d", "plugin"]);
    qemu.arg("-D").arg(&log).arg("-plugin").arg(&plugin).arg(&program.path);
    cargo::capture(qemu.args([work, &repetitions.to_string()]).env_remove("PATCHCORE_ISA"))?;
    let text = std::fs::read_to_string(&log).map_err(|e| format!("{}: {e}", log.display()))?;
    text.trim().parse().map_err(|_| format!("{}: found {text:?}, expected a number", log.display()))
}

fn compile_plugin(plugin: &Path) -> Result<()> {
    let mut cc = Command::new("cc");
    cc.args(["-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "xtask/src/count.c", "-o"])
        .arg(plugin);
    cargo::capture(&mut cc).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(pairs: &[(&str, f64)]) -> Counts {
        pairs.iter().map(|(work, count)| (("avx2".into(), (*work).into()), *count)).collect()
    }

    #[test]
    fn a_baseline_reads_as_it_was_written() {
        let x86 =
            Baseline { compiler: "rustc 1.95.0 (f2d3ce0bd)".into(), counts: counts(&[("network", 12.5)]) };
        let arm = Baseline {
            compiler: "rustc 1.90.0".into(),
            counts: counts(&[("search", 0.125), ("coreset", 3.0)]),
        };
        let both = BTreeMap::from([("x86_64".to_owned(), x86), ("aarch64".to_owned(), arm)]);
        assert_eq!(parse(&format_baselines(&both)).unwrap(), both);
        for damaged in ["avx2 network 1.0", "x86_64: rustc\navx2 network", "x86_64: rustc\navx2 network many"]
        {
            assert!(parse(damaged).is_err(), "{damaged}");
        }
    }

    #[test]
    fn counts_within_two_percent_pass_and_others_are_named() {
        let kept = counts(&[("network", 100.0), ("search", 10.0)]);
        assert_eq!(compare(&counts(&[("network", 101.9), ("search", 9.81)]), &kept), Ok(()));
        for (network, search) in [(102.1, 10.0), (97.9, 10.0)] {
            let message = compare(&counts(&[("network", network), ("search", search)]), &kept).unwrap_err();
            assert!(
                message.starts_with("more than 2 % from xtask/instructions.txt: network with avx2\n"),
                "{message}"
            );
        }
    }

    #[test]
    fn work_that_only_one_side_has_is_named() {
        let one = counts(&[("network", 1.0)]);
        let two = counts(&[("network", 1.0), ("search", 1.0)]);
        for (counted, kept) in [(&one, &two), (&two, &one)] {
            assert!(compare(counted, kept).unwrap_err().contains("search with avx2"));
        }
    }

    #[test]
    fn the_count_is_read_from_callgrinds_log() {
        let log = "==7== Callgrind\n==7== Events    : Ir\n==7== Collected : 1234567\n==7== \n";
        assert_eq!(collected(log), Some(1_234_567));
        assert_eq!(collected("==7== Events    : Ir\n"), None);
    }

    #[test]
    fn the_program_is_found_in_cargos_messages() {
        let messages = "{\"reason\":\"compiler-artifact\",\"executable\":null}\n\
                        {\"reason\":\"compiler-artifact\",\"executable\":\"/t/fixed_work\"}\n\
                        {\"reason\":\"build-finished\",\"success\":true}\n";
        assert_eq!(executable(messages), Some(PathBuf::from("/t/fixed_work")));
    }
}
